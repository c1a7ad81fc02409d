"""`retry` as it is called: options, messages, exit codes, locks and kills."""

import json
import re
import shlex
import signal
from typing import Any

import pytest

from pipeline.cli.pricing import price_table
from pipeline.codec import Json
from pipeline.files.paths import Paths
from pipeline.input.form import fitting
from pipeline.input.rows import Recipe
from pipeline.results.audit import audit
from tests.e2e.command import FOLDER, UNLIMITED, Done, Shell, count_lines
from tests.e2e.hostile import RUDE, HangUp, Hostile, Late, Silence, at_rows
from tests.oracle import Story, check, errors_of
from tests.proof import strace
from tests.scratch import as_version_1


class Failed:
    """A run of twelve rows, of which one each was refused, is in doubt and can't be sent."""

    def __init__(self, shell: Shell, service: Hostile) -> None:
        self.shell, self.service = shell, service
        self.rows, self.output = shell.write_rows(10), shell.path("out.jsonl")
        with self.rows.open("a") as file:
            file.write('{"prompt": 7}\n{"prompt": "das Ende"}\n')
        service.fault = at_rows({3: RUDE, 5: HangUp()})
        call = ["run", self.rows, "-o", self.output, *service.options, "--max-tokens", 50]
        done = shell.call(*call, "--on-doubt", "fail", "--system", "Кратко, 'bitte'.")
        assert done.code == 4, done.err
        service.fault = lambda *_: None

    @property
    def words(self) -> list[object]:
        """What calls the retry; its folder and its host it knows itself."""
        return ["retry", self.output, *UNLIMITED]

    def call(self, *options: object, **others: Any) -> Done:
        return self.shell.call(*self.words, *options, **others)

    def mend(self) -> None:
        text = self.rows.read_text(encoding="utf-8")
        self.rows.write_text(text.replace("7}", '"sieben"}'), encoding="utf-8")

    def check(self) -> Story:
        return check(self.rows, self.output)


@pytest.fixture
def failed(shell: Shell, service: Hostile) -> Failed:
    return Failed(shell, service)


@pytest.mark.promise("P1")
@pytest.mark.promise("P8")
def test_a_retry_needs_the_output_alone_and_sends_the_run_s_own_requests(failed: Failed) -> None:
    failed.mend()
    done = failed.call("--json")
    assert done.code == 0, done.err
    assert "Put back: input bad_field: 1 row; submit INVALID_ARGUMENT: 1 row;" in done.err
    assert done.json.items() >= (failed.check().totals | {"exit": 0}).items()
    for seen in failed.service.submits:
        assert seen.json["messages"][0]["text"] == "Кратко, 'bitte'."
        assert seen.json["completionOptions"]["maxTokens"] == "50"


def test_a_dry_run_counts_and_sends_nothing(failed: Failed) -> None:
    posts = len(failed.service.submits)
    done = failed.call("--dry-run")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "input bad_field: 1 row\nsubmit INVALID_ARGUMENT: 1 row\ndoubt held: 1 row\n"
        "A retry would send 2 rows again; nothing was sent.\n"
        "Not sent, for no cost: 1 row whose line in the input is not mended, and would fail "
        "again.\n"
    )
    assert failed.call("--dry-run", "--stage", "doubt").out.startswith("doubt held: 1 row\nA ")
    failed.mend()
    assert "A retry would send 3 rows again" in failed.call("--dry-run").out
    failed.rows.write_text(failed.rows.read_text().replace("sieben", '", 7: "'))
    assert failed.call("--dry-run", "--json").json["unfit"] == 1
    assert len(failed.service.submits) == posts
    assert count_lines(errors_of(failed.output)) == 3


@pytest.mark.promise("P6")
@pytest.mark.parametrize("stage", [[], ["--stage", "doubt"]])
def test_a_dry_run_refuses_the_input_that_a_retry_refuses(
    failed: Failed, stage: list[str]
) -> None:
    failed.mend()
    # A row that is not retried was mended; and the rows of another file are others.
    other = failed.shell.write_rows(12, "other.jsonl", first=50)
    calls: list[list[object]] = [[*stage, "--input", other], [*stage, "--input", "nowhere.jsonl"]]
    calls += [[*stage]] if stage else []
    for options in calls:
        for dry in ([], ["--dry-run"], ["--dry-run", "--json"]):
            refused = failed.call(*options, *dry)
            assert (refused.code, refused.out) == (65, ""), refused
    # Where nothing would be sent, no input is looked at.
    nothing = failed.call("--dry-run", "--code", "unheard_of", "--input", other)
    assert nothing.out.startswith("Nothing to retry")
    assert nothing.code == 0


def test_rows_are_chosen_by_stage_and_code(failed: Failed) -> None:
    assert failed.call("--stage", "submit", "--stage", "doubt", "--code", "held").code == 3
    assert set(failed.check().failures) == {3, 11}
    done = failed.call("--code", "unheard_of")
    assert (done.code, done.out) == (0, "")
    assert "Nothing to retry" in done.err
    wrong = failed.call("--stage", "submits")
    assert wrong.code == 2
    assert "submit, operation," in wrong.err


def test_rows_never_begun_are_counted_and_a_choice_that_none_meets_sends_none_of_them(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(9), shell.path("out.jsonl")
    service.fault = at_rows({2: RUDE, 5: Silence()})
    call = ["run", rows, "-o", output, *service.options, "--concurrency", 1]
    with shell.started(*call) as running:
        running.until(lambda: len(service.submits) == 5 and count_lines(output) == 3)
        # A line is written before the checkpoint knows of it.
        running.until(lambda: shell.call("status", output, "--json").json["rows"]["done"] == 4)
        running.kill()
    service.relent()
    retry = ["retry", output, *service.retry_options]
    dry = shell.call(*retry, "--dry-run")
    *_, others = dry.out.splitlines()
    told = shell.call(*retry, "--dry-run", "--json").json
    assert told["failures"] == [{"stage": "submit", "code": "INVALID_ARGUMENT", "rows": 1}]
    assert (told["rows"], told["pending"] + told["not_begun"]) == (1, 5)
    assert others.startswith("It would also go on with ")
    posts = len(service.submits)
    wrong = shell.call(*retry, "--code", "invalid_argument")
    assert (wrong.code, wrong.out) == (0, "")
    assert "There are: submit INVALID_ARGUMENT: 1 row. Did you mean INVALID_ARGUMENT?" in wrong.err
    assert len(service.submits) == posts
    assert shell.call(*retry).code == 0
    check(rows, output)


def test_a_retry_of_a_run_without_failures_has_nothing_to_do(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(2), shell.path("out.jsonl")
    assert shell.call("run", rows, "-o", output, *service.options).code == 0
    done = shell.call("retry", output, YC_API_KEY=None)
    assert (done.code, done.out) == (0, "")
    assert "Nothing to retry" in done.err
    assert len(service.submits) == 2


def test_a_budget_that_the_run_can_t_have_is_refused_with_a_command_that_has_it(
    shell: Shell,
) -> None:
    rows, output = shell.path("in.jsonl"), shell.path("out.jsonl")
    rows.write_text('{"prompt": "eins"}\n{"prompt": 2, "id": "zwei"}\n')
    assert shell.call("run", rows, "-o", output, "--emulator", "--system", "'s").code == 3
    done = shell.call("retry", output, YAGPT_BUDGET="5")
    assert (done.code, done.out) == (2, "")
    assert "--budget (from YAGPT_BUDGET): this run was begun without --max-tokens" in done.err
    (told,) = re.findall(r"for N: yagpt-batch (.*)$", done.err, re.MULTILINE)
    errors = errors_of(output)
    errors.write_text(errors.read_text().replace('"prompt":2', '"prompt":"zwei"'))
    words = [{"N": "50"}.get(word, word) for word in shlex.split(told)]
    done = shell.call(*words)
    assert done.code == 0, done.err
    assert json.loads(shell.path("out.again.jsonl").read_bytes().splitlines()[0])["id"] == "zwei"


def test_a_run_at_the_service_is_not_said_to_go_on_with_the_emulator(failed: Failed) -> None:
    begun = ["run", failed.rows, "-o", failed.output]
    for call in (failed.words, [*begun, *failed.service.options]):
        done = failed.shell.call(*call, YC_API_KEY=None)
        assert done.code == 77
        assert "there is no credential. Set YC_API_KEY" in done.err
        assert "--emulator" not in done.err
    other = failed.shell.path("other.jsonl")
    begun = ["run", failed.rows, "-o", other, "--folder-id", FOLDER]
    assert "add --emulator" in failed.shell.call(*begun, YC_API_KEY=None).err
    assert failed.shell.call("run", failed.rows, "-o", other, "--emulator").code == 3
    done = failed.shell.call(*begun, YC_API_KEY=None)
    assert done.code == 77
    assert "other.jsonl was begun with --emulator" in done.err


@pytest.mark.promise("P7")
def test_a_retry_beside_another_process_of_the_run_is_turned_away(failed: Failed) -> None:
    failed.service.fault = lambda *_: Silence()
    with failed.shell.started(*failed.words) as running:
        running.until(lambda: "Put back" in running.err)
        done = failed.call()
        assert done.code == 75
        assert "another process" in done.err
        running.kill()
    failed.service.relent()
    assert failed.call().code == 3
    failed.check()


@pytest.mark.promise("P10")
def test_a_retry_that_is_stopped_names_the_run_that_goes_on(failed: Failed) -> None:
    failed.service.fault = lambda *_: Late(1)
    options = ("--stage", "doubt", "--patience", "3h", "-v")
    with failed.shell.started(*failed.words, *options) as running:
        running.until(lambda: "Put back" in running.err)
        running.signal(signal.SIGTERM)
        done = running.wait()
    assert done.code == -signal.SIGTERM
    words = shlex.split(done.err.partition("To continue: yagpt-batch ")[2].splitlines()[0])
    assert words[-3:] == ["--patience", "3h", "--verbose"]
    assert "--stage" not in words
    failed.service.fault = lambda *_: None
    again = failed.shell.call(*words)
    assert again.code == 3, again.err
    assert set(failed.check().failures) == {3, 11}


def test_what_goes_on_after_a_retry_asks_for_the_same_texts_and_the_same_json(
    shell: Shell, service: Hostile
) -> None:
    schema: Json = {"type": "object", "properties": {"Ort, 'x'": {"type": "number"}}}
    rows, output = shell.write_rows(3), shell.path("out.jsonl")
    shell.path("schema.json").write_text(json.dumps(schema))
    service.fault = lambda number, _: RUDE if number == 2 else None
    call = ["run", rows, "-o", output, *service.options, "--json-schema", "schema.json"]
    assert shell.call(*call, "--system", "@@home").code == 3
    service.fault = lambda *_: Late(1)
    with shell.started("retry", output, *service.retry_options) as running:
        running.until(lambda: "Put back" in running.err)
        running.signal(signal.SIGTERM)
        done = running.wait()
    words = shlex.split(done.err.partition("To continue: yagpt-batch ")[2].splitlines()[0])
    service.fault = lambda *_: None
    again = shell.call(*words)
    assert again.code == 0, again.err
    recipe = Recipe("yandexgpt-lite", FOLDER, "@home", form=fitting(schema))
    story = check(rows, output, recipe=recipe)
    assert all(isinstance(line["data"], dict) for line in story.results.values())
    asked = [(s.json["messages"][0]["text"], s.json["jsonSchema"]) for s in service.submits]
    assert asked == [("@home", {"schema": schema})] * len(service.submits)


def test_only_rows_that_the_run_expected_are_begun(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(6), shell.path("out.jsonl")
    service.fault = lambda number, _: RUDE if number == 2 else None
    assert shell.call("run", rows, "-o", output, *service.options, "--limit", 4).code == 3
    service.fault = lambda *_: None
    assert shell.call("retry", output, *service.retry_options).code == 0
    assert len(service.submits) == 5
    check(rows, output, limit=4)


def test_an_input_that_was_moved_is_named(failed: Failed) -> None:
    failed.rows = failed.rows.rename(failed.shell.path("elsewhere.jsonl"))
    done = failed.call()
    assert done.code == 65
    assert "--input" in done.err
    assert failed.call("--input", failed.rows).code == 3
    failed.check()


def test_a_run_that_was_never_begun_can_t_be_retried(shell: Shell) -> None:
    done = shell.call("retry", shell.path("none.jsonl"))
    assert done.code == 65
    assert "there is no checkpoint" in done.err


def test_a_run_that_an_earlier_version_began_is_retried(failed: Failed) -> None:
    as_version_1(failed.output.with_name("out.jsonl.checkpoint"))
    assert failed.call().code == 3
    failed.check()


@pytest.mark.promise("P1")
@pytest.mark.skipif(strace.refusal() is not None, reason=str(strace.refusal()))
@pytest.mark.parametrize(("call", "when"), [("rename", 1), ("fsync", 2), ("fsync", 3)])
def test_a_retry_that_is_killed_where_files_change_places_goes_on(
    failed: Failed, call: str, when: int
) -> None:
    killed = strace.Tamper(call, "signal=KILL", str(when))
    done = failed.call(before=killed.before(failed.shell.path("trace")))
    assert done.code == -9, done.err
    assert audit(Paths(failed.output), price_table(None)).findings == []
    assert failed.call().code == 3
    assert set(failed.check().failures) == {11}
