"""Send a file of prompts to YandexGPT overnight; wake up to a file of answers, paid for once."""

__version__ = "0.1.0"
