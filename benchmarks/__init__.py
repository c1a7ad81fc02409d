"""Measurements: of decisions under virtual time, and of what the whole program costs."""
