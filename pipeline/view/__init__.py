"""What is seen of a run while it goes on: the panel, plain lines, JSON, metrics."""
