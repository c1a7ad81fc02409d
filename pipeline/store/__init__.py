"""The checkpoint: what must not be forgotten, in SQLite, and the one writer that records it."""
