"""Plays seeds one after another, or side by side in processes of their own."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

CORES = os.cpu_count() or 1
_Story = TypeVar("_Story")


def played(
    play: Callable[[int], _Story], seeds: Iterable[int], side_by_side: int
) -> Iterator[tuple[int, _Story]]:
    """Yield each seed with what it came to, in order; what `play` raises ends it."""
    seeds = list(seeds)
    if side_by_side == 1:
        yield from ((seed, play(seed)) for seed in seeds)
        return
    with ProcessPoolExecutor(side_by_side) as pool:
        yield from zip(seeds, pool.map(play, seeds), strict=True)
