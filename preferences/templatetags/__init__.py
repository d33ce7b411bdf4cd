"""Tags of the preferences for templates of other apps."""
