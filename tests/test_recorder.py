"""What the recorder still makes durable when a part of the disk fails."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from pipeline.errors import StorageFailed
from pipeline.life.facts import End, Move
from pipeline.life.item import Running, Waiting
from pipeline.resuming.recovery import Files
from pipeline.store.pen import Pen, Style
from pipeline.store.recorder import Recorder
from tests.builders import ANSWER, MODEL, NOW, begun, place, read


async def _written_and_recorded(files: Files) -> list[bool]:
    """Fail to write a line, then record an operation, twice; what the recorder said."""
    pen = Pen(files.checkpoint, files.source, Style(MODEL))
    recorder = Recorder(files.checkpoint, pen, files.output, files.errors)
    heard = list[bool]()
    async with asyncio.TaskGroup() as group:
        group.create_task(recorder.run())
        for line in 1, 2:
            with pytest.raises(StorageFailed, match="No space left"):
                await recorder.write(End(line, ANSWER, ANSWER.usage))
            heard.append(await recorder.record(Move(line + 1, Running(f"op-{line}", NOW, 1, 1))))
        recorder.close()
    recorder.join()
    return heard


@pytest.mark.promise("P4")
@pytest.mark.promise("P9")
def test_facts_are_recorded_after_a_line_could_not_be_written_and_no_line_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = list[bytes]()

    def full(_fd: int, data: bytes) -> int:
        tries.append(data)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run = place(tmp_path)
    with run.opened() as files:
        for line in read(run.input):
            files.checkpoint.record([begun(line)], {})
        with monkeypatch.context() as patch:
            patch.setattr("pipeline.files.output.os.write", full)
            assert asyncio.run(_written_and_recorded(files)) == [True, True]
    assert len(tries) == 1
    with run.opened() as files:
        assert {row.line: row.state for row in files.checkpoint.pending()} == {
            1: Waiting(),
            2: Running("op-1", NOW, 1, 1),
            3: Running("op-2", NOW, 1, 1),
        }
