"""Tags of the first steps for the frame around all pages."""
