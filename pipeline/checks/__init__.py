"""Before a run: whether rows have the shape of rows, and whether cheap calls come through."""
