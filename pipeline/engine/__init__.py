"""One run in one process: every row from its line in the input to its line in the output."""
