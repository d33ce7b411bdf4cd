"""What each organization and user wants: priority, limits, providers."""
