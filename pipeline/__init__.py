"""Send a file of prompts to YandexGPT's asynchronous mode; get a file of answers, paid for once."""

__version__ = "0.1.0"
