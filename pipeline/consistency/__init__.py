"""Whether the files of a run agree with its checkpoint, and with each other. Pure."""
