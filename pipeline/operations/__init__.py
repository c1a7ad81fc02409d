"""When operations are asked for: how long they take, which is next, what an answer means. Pure."""
