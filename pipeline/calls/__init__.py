"""The calls that the service knows, who can be reached, and what an answer to a POST means."""
