"""What `yagpt-batch cost` needs for a million rows, beside the barest decoding of their lines.

    python -m benchmarks.cost [--rows 1000000] [--rounds 5]

The file is made anew, always the same. Both are timed in turns, in seconds of CPU: the command as
a process of its own with all that it takes to start one, the decoding as a loop and nothing else.
"""

import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
import msgspec

_WORDS = ("вода", "река", "город", "утро", "письмо", "работа", "ответ", "вопрос", "слово", "книга")
_FINISHES = ("final",) * 18 + ("truncated", "content_filter")
_TARGET = 3.0
_MOST = 100 << 20


def rows(count: int) -> Iterator[bytes]:
    """Lines of results, some 750 bytes each."""
    chance = random.Random(1)
    texts = [" ".join(chance.choices(_WORDS, k=chance.randint(10, 80))) for _ in range(500)]
    for number in range(1, count + 1):
        given, taken = chance.randint(20, 400), chance.randint(10, 300)
        moment = 1_772_400_000 + number // 2
        yield msgspec.json.encode(
            {
                "line": number,
                "id": f"line-{number}",
                "status": "ok",
                "text": chance.choice(texts),
                "finish": chance.choice(_FINISHES),
                "usage": {
                    "input_tokens": given,
                    "completion_tokens": taken,
                    "reasoning_tokens": 0,
                    "total_tokens": given + taken,
                },
                "model": "yandexgpt-lite" if number % 10 else "yandexgpt/rc",
                "model_version": "18.01.2024",
                "operation_id": f"d7q{number:017}",
                "created_at": _stamp(moment),
                "finished_at": _stamp(moment + chance.randint(2, 9000)),
                "submits": 1,
            }
        )


def _stamp(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def decoding(path: Path) -> float:
    """Seconds of CPU that it takes to decode each line and forget it."""
    before = time.process_time()
    with path.open("rb") as file:
        for line in file:
            msgspec.json.decode(line)
    return time.process_time() - before


def command(path: Path) -> tuple[float, int]:
    """Seconds of CPU of the real command, and the most bytes of memory that it had."""
    program = Path(sys.executable).with_name("yagpt-batch")
    process = subprocess.Popen(  # noqa: S603 - the program itself, on the file made here
        [program, "cost", path, "--json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"cost ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, _bytes(used)


def _bytes(used: resource.struct_rusage) -> int:
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@click.command(help=__doc__)
@click.option("--rows", "count", default=1_000_000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(count: int, rounds: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "results.jsonl"
        with path.open("wb") as file:
            file.writelines(line + b"\n" for line in rows(count))
        size = path.stat().st_size
        print(f"{count:,} rows, {size / 1e6:,.0f} MB")
        barely, whole, most = [], [], 0
        for _ in range(rounds):
            barely.append(decoding(path))
            seconds, memory = command(path)
            whole.append(seconds)
            most = max(most, memory)
        ratio = median(whole) / median(barely)
        print(f"decoding alone: {median(barely):.2f} s ({_spread(barely)})")
        print(f"the command:    {median(whole):.2f} s ({_spread(whole)}), {ratio:.2f} times that")
        print(f"memory, at most: {most / (1 << 20):.1f} MB")
        met = ratio <= _TARGET and most < _MOST
        print(
            f"asked for: {_TARGET:g} times, under {_MOST >> 20} MB: {'met' if met else 'NOT MET'}"
        )
        sys.exit(not met)


def _spread(seconds: list[float]) -> str:
    return f"{min(seconds):.2f} to {max(seconds):.2f}"


if __name__ == "__main__":
    main()
