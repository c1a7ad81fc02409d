"""Measurements: of what the program decides, under virtual time, and of what all of it costs."""
