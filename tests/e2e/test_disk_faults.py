"""Deaths and errors at a chosen call to the disk, by the hand of strace."""

import shutil
from pathlib import Path

import pytest

from tests.e2e.command import Done, Shell
from tests.e2e.hostile import Hostile
from tests.oracle import check, checkpoint_of, seen_by_a_reader, unfinished

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace")


class Story:
    """A run of twelve rows, with or without a fault of the disk."""

    def __init__(self, shell: Shell, service: Hostile) -> None:
        self.shell, self.service = shell, service
        self.rows, self.output = shell.write_rows(12), shell.path("out.jsonl")
        self.trace = shell.path("trace")

    def run(self, *before: str) -> Done:
        call = ["run", self.rows, "-o", self.output, *self.service.options]
        return self.shell.call(*call, before=before)

    def run_with(self, fault: str, path: Path) -> Done:
        """`fault` as strace's inject takes it, at calls on this file alone."""
        calls = fault.partition(":")[0]
        options = ["-f", "-o", str(self.trace), "-P", str(path), "-e", f"trace={calls}"]
        return self.run("strace", *options, "-e", f"inject={fault}")


@pytest.fixture
def story(shell: Shell, service: Hostile) -> Story:
    return Story(shell, service)


@pytest.mark.promise("P6")
def test_a_whole_line_that_the_checkpoint_has_not_seen_is_adopted(story: Story) -> None:
    story.run_with("fdatasync:signal=KILL:when=1", story.output)
    written = set(seen_by_a_reader(story.output))
    assert written & unfinished(story.output), "the kill did not fall between line and checkpoint"
    assert story.run().code == 0
    told = check(story.rows, story.output, story.service.ledger())
    assert told.paid_twice <= told.doubts <= 8


@pytest.mark.promise("P1")
@pytest.mark.promise("P5")
@pytest.mark.parametrize("when", [1, 3, 8, 21])
def test_a_death_at_any_write_to_the_log_of_the_checkpoint_loses_nothing(
    story: Story, when: int
) -> None:
    log = checkpoint_of(story.output)
    log = log.with_name(log.name + "-wal")
    log.touch()  # strace takes paths that exist
    story.run_with(f"pwrite64:signal=KILL:when={when}", log)
    assert story.run().code == 0
    told = check(story.rows, story.output, story.service.ledger())
    assert told.paid_twice <= told.doubts <= 8


@pytest.mark.promise("P9")
def test_a_failed_sync_ends_the_run_and_is_never_retried(story: Story) -> None:
    done = story.run_with("fdatasync:error=EIO:when=1+", story.output)
    assert done.code == 74, done.err
    assert "can't write" in done.err
    assert "Input/output error" in done.err
    assert story.trace.read_text().count("fdatasync(") == 1
    posted = len(story.service.submits)
    assert story.run().code == 0
    told = check(story.rows, story.output, story.service.ledger())
    assert told.paid_twice == told.doubts == len(done.ids_not_stored)
    assert posted <= 12


@pytest.mark.promise("P9")
def test_a_full_disk_under_the_output_is_named(story: Story) -> None:
    done = story.run_with("write:error=ENOSPC:when=1+", story.output)
    assert done.code == 74, done.err
    assert f"can't write {story.output}: No space left on device." in done.err
    assert story.run().code == 0
    told = check(story.rows, story.output, story.service.ledger())
    assert told.paid_twice == told.doubts == len(done.ids_not_stored)
