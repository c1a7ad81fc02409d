"""The service in miniature."""

FOLDER = "b1gemulator0000000000"
"""The only folder that it has, unless another is named."""
