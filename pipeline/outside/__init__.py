"""A run as somebody sees it who is not its process: read, and neither changed nor disturbed."""
