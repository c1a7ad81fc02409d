"""``python -m pipeline`` is ``yagpt-batch``."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
