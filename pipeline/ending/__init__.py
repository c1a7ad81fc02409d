"""The end in sight: when the last answer is in, what binds until then, what is in time. Pure."""
