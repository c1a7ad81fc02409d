"""Measurements: of the program's decisions under virtual time, and of what all of it costs."""
