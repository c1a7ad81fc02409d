"""How fast to ask: sliding windows, what quotas turn out to be, outages. Pure."""
