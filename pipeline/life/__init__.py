"""The life of one row: its states, and what is written of it. Pure."""
