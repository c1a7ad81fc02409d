"""A line of the input, in any accepted shape, as a row with its request. Pure."""
