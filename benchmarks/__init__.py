"""Measurements: of the program's decisions under virtual time, and of what the whole of it costs."""
