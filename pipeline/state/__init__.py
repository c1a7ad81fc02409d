"""Where a run stands: as its process shares it, as it is noted, asked for and told."""
