"""What was torn is mended at the next start; what was changed is refused, by file and line."""

import json
import os
import shutil
from pathlib import Path

import pytest

from pipeline.emulator.model import Config
from tests.e2e.command import Done, Shell, count_lines
from tests.e2e.hostile import Hostile, serving
from tests.oracle import check, whole_lines


class Story:
    """A run of which some rows are done."""

    def __init__(self, shell: Shell, service: Hostile) -> None:
        self.shell, self.service = shell, service
        self.rows, self.output = shell.path("in.jsonl"), shell.path("out.jsonl")
        if not self.rows.exists():
            shell.write_rows(20)

    def run(self, *more: object) -> Done:
        options = [*self.service.options, *more]
        return self.shell.call("run", "in.jsonl", "-o", "out.jsonl", *options)

    def kill_on_the_way(self) -> None:
        options = [*self.service.options, "--rate", "10/s"]
        with self.shell.started("run", "in.jsonl", "-o", "out.jsonl", *options) as running:
            running.until(lambda: count_lines(self.output) >= 3)
            running.kill()


@pytest.fixture
def story(shell: Shell, service: Hostile) -> Story:
    return Story(shell, service)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run; its service is gone, so nothing can be submitted again."""
    folder = tmp_path_factory.mktemp("finished")
    with serving(Config(latency_median=0.05, submit_rates=(), poll_rates=())) as service:
        assert Story(Shell(folder), service).run().code == 0
    return folder


@pytest.fixture
def done(finished: Path, tmp_path: Path, service: Hostile) -> Story:
    """A copy of the finished run, times and all."""
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    return Story(Shell(folder), service)


def edit_line(path: Path, number: int, *, keep_time: bool = False) -> None:
    """Change one byte of a line, and not the file's length."""
    status = path.stat()
    lines = path.read_bytes().split(b"\n")
    line = lines[number - 1]
    lines[number - 1] = line[:-4] + bytes([line[-4] ^ 1]) + line[-3:]
    path.write_bytes(b"\n".join(lines))
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.promise("P2")
@pytest.mark.promise("P6")
def test_a_torn_last_line_is_removed(story: Story) -> None:
    story.kill_on_the_way()
    with story.output.open("ab") as file:
        file.write(b'{"line": 99, "id": "line-99", "status": "ok", "te')
    assert story.run().code == 0
    check(story.rows, story.output, story.service.ledger())


@pytest.mark.promise("P6")
def test_a_whole_line_behind_the_end_that_is_not_ours_is_refused(story: Story) -> None:
    story.kill_on_the_way()
    whole = story.output.read_bytes().rpartition(b"\n")[0]
    stranger = whole.rpartition(b"\n")[2].replace(b'"line":', b'"line":9', 1)
    story.output.write_bytes(whole + b"\n" + stranger + b"\n")
    refused = story.run()
    assert refused.code == 65
    assert "was not written by this run" in refused.err


@pytest.mark.promise("P6")
def test_a_line_edited_in_the_middle_of_the_output_is_refused_by_name(story: Story) -> None:
    story.kill_on_the_way()
    edit_line(story.output, 2)
    before = story.output.read_bytes()
    refused = story.run()
    assert refused.code == 65
    assert "out.jsonl: line 2 " in refused.err
    assert "--fresh" in refused.err
    assert story.output.read_bytes() == before


@pytest.mark.promise("P6")
def test_an_output_that_was_cut_is_refused(done: Story) -> None:
    os.truncate(done.output, 500)
    refused = done.run()
    assert refused.code == 65
    assert "out.jsonl was cut" in refused.err


@pytest.mark.promise("P6")
def test_an_edited_line_of_a_finished_output_is_refused(done: Story) -> None:
    edit_line(done.output, 7)
    refused = done.run()
    assert refused.code == 65
    assert "out.jsonl: line 7 " in refused.err


@pytest.mark.promise("P6")
def test_an_input_that_was_changed_is_refused_by_its_line(done: Story) -> None:
    edit_line(done.rows, 4)
    refused = done.run()
    assert refused.code == 65
    assert "in.jsonl:4:" in refused.err


@pytest.mark.promise("P6")
def test_an_input_that_was_cut_is_refused_by_its_line(done: Story) -> None:
    lines = done.rows.read_bytes().splitlines(keepends=True)
    done.rows.write_bytes(b"".join(lines[:15]))
    refused = done.run()
    assert refused.code == 65
    assert "in.jsonl:16:" in refused.err


@pytest.mark.promise("P6")
def test_an_input_that_was_only_touched_is_welcome(done: Story) -> None:
    done.rows.touch()
    done.output.touch()
    assert done.run().code == 0
    assert done.service.submits == []


@pytest.mark.promise("P6")
@pytest.mark.promise("P15")
def test_rows_appended_to_the_input_are_picked_up_and_the_totals_written_anew(
    story: Story,
) -> None:
    assert story.run().code == 0
    story.shell.write_rows(5, first=21)
    assert story.run().code == 0
    told = check(story.rows, story.output, story.service.ledger())
    assert told.totals["rows"] == 25
    assert sum("totals" in line for line in whole_lines(story.output)) == 1


@pytest.mark.promise("P6")
def test_an_input_without_a_last_newline_can_grow(story: Story) -> None:
    story.rows.write_bytes(story.rows.read_bytes().removesuffix(b"\n"))
    assert story.run().code == 0
    with story.rows.open("ab") as file:
        file.write(b"\n")
    story.shell.write_rows(1, first=21)
    assert story.run().code == 0
    assert len(check(story.rows, story.output, story.service.ledger()).results) == 21


@pytest.mark.promise("P8")
def test_other_settings_are_refused_by_name(story: Story) -> None:
    assert story.run("--temperature", "0.5").code == 0
    refused = story.run("--model", "yandexgpt", "--max-tokens", 7, "--temperature", "0.5")
    assert refused.code == 65
    assert '--model was "yandexgpt-lite", is now "yandexgpt"' in refused.err
    assert "--max-tokens was not given, is now 7" in refused.err
    assert "--temperature" not in refused.err
    assert len(story.service.submits) == 20


@pytest.mark.promise("P6")
def test_a_mistyped_input_changes_nothing_that_is_told_of_the_run(story: Story) -> None:
    story.kill_on_the_way()
    shutil.copy(story.rows, story.shell.path("other.jsonl"))
    edit_line(story.shell.path("other.jsonl"), 1)
    options = story.service.options
    for mistyped in (
        story.shell.call("run", "other.jsonl", "-o", "out.jsonl", *options),
        story.shell.call("retry", "out.jsonl", "--input", "other.jsonl"),
    ):
        assert mistyped.code == 65
        assert "out.jsonl was begun with in.jsonl, and other.jsonl is another" in mistyped.err
        assert "--fresh" not in mistyped.err
    status = story.shell.call("status", "out.jsonl", "--json").json
    assert not status["input_changed"]
    assert status["resume"].startswith("yagpt-batch run in.jsonl -o out.jsonl ")
    assert story.shell.call("audit", "out.jsonl").code == 0
    assert story.shell.call("export", "out.jsonl", "-o", "x.csv", "--keep", "prompt").code == 0
    assert story.run().code == 0


@pytest.mark.promise("P8")
def test_files_of_a_run_can_move_together(story: Story) -> None:
    assert story.run("--limit", 8).code == 0
    folder = story.shell.path("elsewhere")
    folder.mkdir()
    for path in [story.rows, *story.shell.folder.glob("out.jsonl*")]:
        path.rename(folder / path.name)
    options = story.service.options
    moved = story.shell.call(
        "run", "elsewhere/in.jsonl", "-o", "elsewhere/out.jsonl", *options, "--concurrency", 2
    )
    assert moved.code == 0, moved.err
    check(folder / "in.jsonl", folder / "out.jsonl", story.service.ledger())


@pytest.mark.promise("P8")
def test_fresh_moves_old_files_aside_and_deletes_none(story: Story) -> None:
    assert story.run().code == 0
    old = story.output.read_bytes()
    edit_line(story.rows, 4)
    assert story.run("--fresh", "--model", "yandexgpt").code == 0
    assert len(story.service.submits) == 40
    (aside,) = story.shell.folder.glob("out.jsonl.old-*")
    assert aside.read_bytes() == old
    assert len([*story.shell.folder.glob("out.jsonl.checkpoint.old-*")]) == 1
    assert json.loads(story.output.read_bytes().splitlines()[-1])["totals"]["rows"] == 20


@pytest.mark.promise("P6")
def test_a_missing_checkpoint_is_not_taken_for_a_new_run(done: Story) -> None:
    done.shell.path("out.jsonl.checkpoint").unlink()
    before = done.output.read_bytes()
    refused = done.run()
    assert refused.code == 65
    assert "not its checkpoint" in refused.err
    assert done.output.read_bytes() == before
    assert not done.shell.path("out.jsonl.checkpoint").exists()


@pytest.mark.promise("P6")
def test_of_a_row_that_was_mended_an_export_says_how_to_send_it(story: Story) -> None:
    with story.rows.open("a") as file:
        file.write('{"prompt": 7}\n')
    story.shell.write_rows(3, first=22)
    assert story.run().code == 3
    story.rows.write_text(story.rows.read_text().replace("7}", '"seven"}'))
    for options in ([], ["--ok-only"]):
        call = ["export", "out.jsonl", "-o", "out.csv", "--keep", "prompt", *options]
        refused = story.shell.call(*call)
        assert refused.code == 65
        assert "in.jsonl:21: the line is not what it was" in refused.err
        assert "`yagpt-batch retry out.jsonl --stage input`" in refused.err


@pytest.mark.promise("P6")
def test_an_output_that_was_deleted_is_refused(done: Story) -> None:
    done.output.unlink()
    calls = [["retry", "--dry-run"], ["status"], ["export", "-o", "all.csv"], ["pause"]]
    others = [done.shell.call(command, done.output, *more) for command, *more in calls]
    for refused in (done.run(), *others, done.run()):
        assert refused.code == 65
        assert "out.jsonl is missing: this run wrote " in refused.err
        assert not done.output.exists()
    assert done.service.submits == []


@pytest.mark.promise("P6")
def test_an_errors_file_that_was_deleted_is_told_by_every_command(story: Story) -> None:
    with story.rows.open("a") as file:
        file.write('{"prompt": 7}\n')
    assert story.run().code == 3
    errors = story.shell.path("out.errors.jsonl")
    whole = errors.read_bytes()
    errors.unlink()
    told = f"{errors} is missing: this run wrote {len(whole)} bytes into it."
    calls: list[tuple[str, ...]] = [
        ("retry",),
        ("retry", "--dry-run"),
        ("export", "-o", "out.csv"),
        ("audit",),
        ("status",),
        ("report", "-o", "out.html"),
        ("cost",),
    ]
    for command, *options in calls:
        done = story.shell.call(command, story.output, *options)
        is_told_of_others = command in {"status", "report", "cost"}
        assert done.code == (0 if is_told_of_others else 65), command
        assert told in done.out + done.err, command
    refused = story.run()
    assert refused.code == 65
    assert "out.errors.jsonl is missing" in refused.err
    assert "Put it back" in refused.err
    assert "pays for all rows again" in refused.err
    assert "yagpt-batch export out.jsonl -o FILE --ok-only" in refused.err
    kept = story.shell.call("export", story.output, "-o", "ok.csv", "--ok-only")
    assert (kept.code, kept.out) == (0, "20 rows: ok.csv\n")
    assert not errors.exists()
    errors.write_bytes(whole)
    assert story.run().code == 3


def test_a_checkpoint_that_is_none_of_ours_is_left_alone(story: Story) -> None:
    path = story.shell.path("out.jsonl.checkpoint")
    path.write_bytes(b"not a database, but somebody's notes. " * 50)
    refused = story.run()
    assert refused.code == 65
    assert path.read_bytes().startswith(b"not a database")
