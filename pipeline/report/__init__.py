"""The page of a report: what lines tell, in constant memory; its pictures and tables. Pure."""
