"""Measurements of the program's decisions, under virtual time."""
