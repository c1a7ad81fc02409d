"""One folder's quotas, shared by the runs of one machine, and what earlier runs found of them."""
