"""Template tags of the pages about calls."""
