"""What is made of a run's results afterwards: an audit, an export, a bill over many files."""
