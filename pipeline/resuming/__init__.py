"""From the files on disk to a run that can go on, or a refusal that says why it can't."""
