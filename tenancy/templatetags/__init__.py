"""Template tags of the shell and of sign-in."""
