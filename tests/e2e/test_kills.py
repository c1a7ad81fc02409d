"""Twenty trials of `tests.proof.kills`: whatever ends the process, the promises hold."""

import pytest

from tests.e2e.command import Shell
from tests.e2e.hostile import Hostile
from tests.oracle import check, checkpoint_of, errors_of, seen_by_a_reader, unfinished
from tests.proof import strace
from tests.proof.kills import results, sums

pytestmark = pytest.mark.timeout(300)
Figures = dict[str, float | int]


@pytest.fixture(scope="module")
def figures() -> Figures:
    told = list(results(20))
    wrong = [f"trial {seed}: {result.wrong}" for seed, result in told if result.wrong]
    assert not wrong, "\n".join(wrong)
    return sums([result for _, result in told])


@pytest.mark.promise("P1")
def test_no_row_is_lost_whatever_ends_the_process(figures: Figures) -> None:
    assert figures["kills"] >= 10
    assert figures["rows"] >= 20 * 30
    assert figures["lost"] == 0


@pytest.mark.promise("P2")
def test_a_reader_never_sees_half_a_line(figures: Figures) -> None:
    assert figures["half lines"] == 0


@pytest.mark.promise("P3")
@pytest.mark.promise("P4")
def test_what_was_accepted_was_announced_and_an_id_on_disk_is_not_paid_again(
    figures: Figures,
) -> None:
    assert figures["accepted twice"] > 0, "no kill fell between POST and answer"
    assert figures["paid again"] == 0


@pytest.mark.promise("P5")
def test_doubts_are_few_and_cover_what_was_accepted_twice(figures: Figures) -> None:
    assert figures["accepted twice"] <= figures["doubts"]


@pytest.mark.promise("P7")
def test_of_several_processes_all_but_one_are_turned_away_and_send_nothing(
    figures: Figures,
) -> None:
    # Each trial judges those that were turned away; how many are depends on who is how fast.
    assert figures["double starts"] > 0


@pytest.mark.promise("P10")
def test_a_signal_in_any_phase_leaves_no_more_behind_than_it_says(figures: Figures) -> None:
    assert figures["signals"] > 0


@pytest.mark.skipif(strace.refusal() is not None, reason=str(strace.refusal()))
def test_kills_fall_at_system_calls_too(figures: Figures) -> None:
    assert figures["kills at system calls"] > 0


@pytest.mark.skipif(strace.refusal() is not None, reason=str(strace.refusal()))
@pytest.mark.promise("P6")
def test_a_whole_line_that_the_checkpoint_has_not_seen_is_adopted(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(12), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options]
    at_sync = strace.Tamper("fdatasync", "signal=KILL", "1", (output,))
    assert shell.call(*call, before=at_sync.before(shell.path("trace"))).code == -9
    written = set(seen_by_a_reader(output))
    assert written & unfinished(output), "the kill did not fall between line and checkpoint"
    assert shell.call(*call).code == 0
    story = check(rows, output, service.ledger())
    assert story.paid_twice <= story.doubts <= 8


@pytest.mark.skipif(strace.refusal() is not None, reason=str(strace.refusal()))
@pytest.mark.parametrize("when", [1, 2, 3])
@pytest.mark.promise("P8")
def test_a_death_while_old_files_are_moved_aside_deletes_none_of_them(
    shell: Shell, service: Hostile, when: int
) -> None:
    rows, output = shell.write_rows(6), shell.path("out.jsonl")
    with rows.open("a") as file:
        file.write("[]\n")
    call = ["run", rows, "-o", output, *service.options]
    assert shell.call(*call).code == 3
    old = {path.read_bytes() for path in (output, errors_of(output), checkpoint_of(output))}
    at_rename = strace.Tamper("rename", "signal=KILL", str(when))
    assert shell.call(*call, "--fresh", before=at_rename.before(shell.path("trace"))).code == -9
    assert shell.call(*call, "--fresh").code == 3
    check(rows, output)
    assert old <= {path.read_bytes() for path in shell.folder.glob("out.*.old-*")}
