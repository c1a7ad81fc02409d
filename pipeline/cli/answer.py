"""Standard output, which carries what commands answer and nothing else."""

import os
import sys
from collections import deque
from collections.abc import Iterable

import click

from pipeline.cli.sheet import Rows, tabled
from pipeline.terminal.speech import clean, say, shown, width_of
from pipeline.terminal.step import Sentence


def tell(sentences: Iterable[Sentence]) -> None:
    """Print sentences for people, wrapped between words where a terminal shows them."""
    answer(line for sentence in sentences for line in shown(sentence, sys.stdout))


def tell_table(rows: Rows, left: int) -> None:
    """Print a head and rows, of which the first `left` cells are words and the others numbers."""
    answer(map(clean, tabled(rows, left, width_of(sys.stdout))))


def answer(lines: Iterable[str | bytes]) -> None:
    """Print lines as they come. What standard output can't take does not change how it went."""
    rest = iter(lines)
    if sys.stdout is not None:
        try:
            for line in rest:
                click.echo(line)
            sys.stdout.flush()
        except OSError as error:
            say(f"Standard output can't be written: {error.strerror}.")
            # Or the interpreter tries again at its exit, and fails.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    # Whoever makes the lines may be counting.
    deque(rest, maxlen=0)
