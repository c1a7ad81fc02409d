"""``yagpt-batch estimate`` as people call it."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.e2e.command import FOLDER, PROGRAM, UNLIMITED, Shell

_EMULATED = ("--emulator", "--json")


def write_uneven(shell: Shell, count: int) -> Path:
    """Rows of many sizes and densities."""
    path = shell.path("in.jsonl")
    texts = (f"{'слово, ' * (n % 29)}{'ответ ' * (n % 17)}{n}" for n in range(count))
    path.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    return path


def test_input_tokens_are_those_that_the_run_is_billed_for(shell: Shell) -> None:
    rows = shell.write_rows(30)
    found = shell.call("estimate", rows, *_EMULATED).json
    done = shell.call("run", rows, "-o", "out.jsonl", "--emulator", "--json", *UNLIMITED).json
    assert found["rows"] == done["rows"] == 30
    assert found["input_tokens"]["basis"] == "exact"
    assert found["input_tokens"]["likely"] == done["usage"]["input_tokens"]


def test_a_sample_is_enough_and_the_whole_is_counted_when_asked(shell: Shell) -> None:
    rows = write_uneven(shell, 400)
    sampled = shell.call("estimate", rows, *_EMULATED).json["input_tokens"]
    exact = shell.call("estimate", rows, *_EMULATED, "--exact").json["input_tokens"]
    assert (sampled["basis"], exact["basis"]) == ("sample", "exact")
    assert sampled["seen"] < 400 == exact["seen"]
    assert sampled["least"] <= exact["likely"] <= sampled["most"]
    assert exact["least"] == exact["likely"] == exact["most"]


def test_the_same_call_gives_the_same_estimate_and_another_seed_another_sample(
    shell: Shell,
) -> None:
    rows = write_uneven(shell, 600)
    one, same, other = (
        shell.call("estimate", rows, *_EMULATED, "--seed", seed).out for seed in (1, 1, 2)
    )
    assert one == same != other


def test_a_rows_own_settings_win_over_the_commands(shell: Shell) -> None:
    rows = shell.path("in.jsonl")
    rows.write_text('{"prompt": "a"}\n{"prompt": "b", "model": "aliceai-llm", "max_tokens": 7}\n')
    found = shell.call("estimate", rows, *_EMULATED, "--max-tokens", 100).json
    assert [part["model"] for part in found["by_model"]] == ["aliceai-llm", "yandexgpt-lite"]
    assert [part["output_tokens"]["most"] for part in found["by_model"]] == [7, 100]


def test_rows_that_ask_the_same_are_counted_once(shell: Shell) -> None:
    rows = shell.path("in.jsonl")
    asked = [{"prompt": f"How much is {n % 7}?", "id": n} for n in range(50)]
    warm = {"prompt": "How much is 1?", "temperature": 0.5}
    rows.write_text("".join(json.dumps(row) + "\n" for row in [*asked, warm, warm, {}]))
    cold = ("--temperature", 0, "--dedupe")
    found = shell.call("estimate", rows, *_EMULATED, *cold).json
    assert (found["rows"], found["same"], found["unfit"]) == (9, 43, 1)
    done = shell.call("run", rows, "-o", "out.jsonl", *_EMULATED, *cold, *UNLIMITED).json
    assert found["input_tokens"]["likely"] == done["usage"]["input_tokens"]
    exact = shell.call("estimate", rows, *_EMULATED, *cold, "--exact").json
    assert exact["input_tokens"]["likely"] == done["usage"]["input_tokens"]
    told = shell.call("estimate", rows, "--offline", *cold).out
    first = "9 rows can be sent, 43 more ask the same as one of them, 1 can't be."
    assert told.splitlines()[0].endswith(first)
    without = shell.call("estimate", rows, *_EMULATED, "--temperature", 0).json
    assert (without["rows"], without["same"]) == (52, 0)


def test_rows_of_which_none_is_left_out_are_told_as_such(shell: Shell) -> None:
    rows = shell.write_rows(3)
    told = (
        "--dedupe leaves out none of the 3 rows looked at: only the same request at temperature 0 "
        "is sent once (--temperature 0).\n"
    )
    guessed = shell.call("estimate", rows, "--offline", "--dedupe")
    assert (guessed.code, guessed.err.startswith(told)) == (0, True)
    ran = shell.call("run", rows, "-o", "out.jsonl", "--emulator", "--dedupe", "--json")
    assert (ran.code, ran.err.startswith(told)) == (0, True)
    again = shell.call("run", rows, "-o", "out.jsonl", "--emulator", "--dedupe", "--json")
    assert (again.code, "leaves out none" in again.err) == (0, False)
    cold = ("--dedupe", "--temperature", 0)
    assert "leaves out none" not in shell.call("estimate", rows, "--offline", *cold).err


def test_rows_that_are_not_fit_are_told_and_cost_nothing(shell: Shell) -> None:
    rows = shell.path("in.jsonl")
    rows.write_text('{"prompt": "a"}\nnot JSON\n{"prompt": ""}\n')
    done = shell.call("estimate", rows, *_EMULATED)
    assert done.code == 0
    assert (done.json["rows"], done.json["unfit"]) == (1, 2)
    assert "in.jsonl:2: " in done.err
    assert "in.jsonl:3: " in done.err


@pytest.mark.parametrize("content", ["", "\n\n", "not JSON\n", '{"prompt": ""}\n'])
def test_a_file_without_a_row_to_send_is_bad_data(shell: Shell, content: str) -> None:
    rows = shell.path("in.jsonl")
    rows.write_text(content)
    done = shell.call("estimate", rows, *_EMULATED)
    assert (done.code, done.out) == (65, "")


def test_earlier_results_tell_how_long_answers_will_be(shell: Shell) -> None:
    earlier, rows = shell.write_rows(40, "old.jsonl"), shell.write_rows(80)
    shell.call("run", earlier, "-o", "old-out.jsonl", "--emulator", *UNLIMITED)
    found = shell.call("estimate", rows, *_EMULATED, "--like", "old-out.jsonl").json
    run = shell.call("run", rows, "-o", "out.jsonl", "--emulator", "--json", *UNLIMITED).json
    assert (found["output_tokens"]["basis"], found["output_tokens"]["seen"]) == ("like", 40)
    cost = found["cost"]
    assert float(cost["least"]) <= float(run["cost"]["amount"]) <= float(cost["most"])
    assert float(cost["most"]) < 1.1 * float(cost["amount"])


def test_earlier_answers_are_cut_at_the_limit_of_the_run_to_come(shell: Shell) -> None:
    rows = shell.write_rows(40)
    shell.call("run", rows, "-o", "old.jsonl", "--emulator", *UNLIMITED)
    call = ["estimate", rows, "--emulator", "--like", "old.jsonl", "--max-tokens", 3]
    told = shell.call(*call)
    assert "Output: 120 tokens, as 40 earlier answers in old.jsonl were, all of one" in told.out
    assert "--max-tokens would have cut off 40 of 40 answers: counted as if it had." in told.err
    assert shell.call(*call, "--json").json["output_tokens"]["likely"] == 120


def test_what_of_earlier_results_is_no_answer_is_told_as_status_tells_it(shell: Shell) -> None:
    """20 rows ask the same as another: of two that fail the next one is sent, and answered."""
    lines = (json.dumps({"prompt": f"q {n % 40}", "temperature": 0}) for n in range(60))
    shell.path("in.jsonl").write_text("".join(f"{line}\n" for line in lines))
    call = ["run", "in.jsonl", "-o", "old.jsonl", "--dedupe", "--rate", "none"]
    with shell.emulator(
        *("--latency", 0.1, "--rate", "1000/s"),
        *("--fault", "fails@3-4", "--fault", "no-usage@5"),
    ) as emulator:
        assert shell.call(*call, *emulator.options).code == 3
        assert shell.call("status", "old.jsonl", "--json").json["rows"]["failed"] == 2
        told = shell.call("estimate", "in.jsonl", "--like", "old.jsonl", *emulator.options)
    assert "old.jsonl: 2 rows failed there; here none is expected to.\n" in told.err
    assert "old.jsonl: 1 answer without tokens: the others are taken for all.\n" in told.err
    assert "as 39 earlier answers in old.jsonl were" in told.out


def test_a_guess_of_the_input_has_no_confidence(shell: Shell) -> None:
    rows = write_uneven(shell, 60)
    shell.call("run", rows, "-o", "old.jsonl", "--emulator", *UNLIMITED)
    call = ["estimate", rows, "--like", "old.jsonl"]
    assert "with a confidence of 95 %" in shell.call(*call, "--emulator").out
    assert "confidence" not in shell.call(*call, "--offline").out


def test_earlier_results_that_are_not_there_are_told_before_anybody_is_asked(
    shell: Shell,
) -> None:
    away = ("--endpoint", "http://127.0.0.1:9", "--folder-id", FOLDER)
    refused = shell.call("estimate", shell.write_rows(3), *away, "--like", "nope.jsonl")
    assert refused.code == 65
    assert "nope.jsonl" in refused.err


def test_more_than_all_rows_are_as_good_a_canary_as_all(shell: Shell) -> None:
    rows = write_uneven(shell, 35)
    call = ["estimate", rows, *_EMULATED, "--canary"]
    assert shell.call(*call, 300).out == shell.call(*call, 35).out


def test_a_few_rows_are_too_few_for_a_canary(shell: Shell) -> None:
    refused = shell.call("estimate", shell.write_rows(6), *_EMULATED, "--canary", 30)
    assert refused.code == 65
    assert "A canary needs 30 rows at least, and has only 6." in refused.err


def test_too_few_earlier_answers_are_refused(shell: Shell) -> None:
    rows = shell.write_rows(5)
    shell.call("run", rows, "-o", "out.jsonl", "--emulator", *UNLIMITED)
    done = shell.call("estimate", rows, *_EMULATED, "--like", "out.jsonl")
    assert done.code == 65
    assert "out.jsonl has 5 answers with tokens: 30 are needed." in done.err


@pytest.mark.promise("P4")
def test_a_canary_is_paid_for_once_however_often_it_is_asked_about(shell: Shell) -> None:
    rows = shell.write_rows(100, "prompts.jsonl")
    with shell.emulator("--latency", 0.1) as emulator:
        call = ["estimate", rows, *emulator.options, "--json", "--canary", 40, "--max-tokens", 5]
        first, again = shell.call(*call), shell.call(*call)
        ledger = emulator.ledger()
    assert (first.code, first.out) == (0, again.out)
    assert "Canary: 40 of 100 rows are asked and paid for, once; " in first.err
    assert "Canary: its 40 rows were asked before, and none is again: " in again.err
    assert len(ledger["operations"]) == 40
    shown = shell.call("cost", "prompts.canary.results.jsonl", "--json").json["cost"]["amount"]
    assert first.json["canary"] == {
        "rows": 40,
        "cost": {"amount": shown, "least": shown, "most": shown},
        "emulated": False,
    }
    assert first.json["output_tokens"]["basis"] == "canary"
    asked = shell.path("prompts.canary.jsonl").read_text().splitlines()
    assert len(asked) == len(set(asked)) == 40
    assert set(asked) <= set(rows.read_text().splitlines())
    results = shell.path("prompts.canary.results.jsonl").read_text().splitlines()
    said = [json.loads(line)["usage"]["completion_tokens"] for line in results[:-1]]
    assert len(said) == 40
    assert max(said) == 5


def test_a_canary_that_lacks_an_answer_goes_by_the_others(shell: Shell) -> None:
    rows = shell.write_rows(60)
    with shell.emulator("--latency", 0.1, "--fault", "fails@3") as emulator:
        told = shell.call("estimate", rows, *emulator.options, "--canary", 30)
    assert (
        "\nOf 1 row of the canary no tokens are known: the others are taken for all." in told.err
    )
    assert "from the 29 answers that a canary had" in told.out


def test_another_sample_does_not_take_the_place_of_one_that_was_paid_for(shell: Shell) -> None:
    rows = shell.write_rows(100, "prompts.jsonl")
    assert shell.call("estimate", rows, *_EMULATED, "--canary", 30).code == 0
    before = shell.path("prompts.canary.jsonl").read_bytes()
    refused = shell.call("estimate", rows, *_EMULATED, "--canary", 40)
    assert refused.code == 65
    assert (
        "prompts.canary.jsonl holds another sample, of 30 rows. Give --canary 30 " in refused.err
    )
    reseeded = shell.call("estimate", rows, *_EMULATED, "--canary", 30, "--seed", 7)
    assert "Give --seed and the rows as then" in reseeded.err
    assert shell.path("prompts.canary.jsonl").read_bytes() == before
    # As the message says.
    assert "or move prompts.canary.* away" in refused.err.replace(f"{shell.folder}/", "")
    for path in shell.folder.glob("prompts.canary.*"):
        path.unlink()
    assert shell.call("estimate", rows, *_EMULATED, "--canary", 40).code == 0


def test_a_canary_that_was_asked_with_other_options_says_what_can_be_done_about_it(
    shell: Shell,
) -> None:
    rows = shell.write_rows(60, "prompts.jsonl")
    call = ["estimate", rows, *_EMULATED, "--canary", 30]
    assert shell.call(*call).code == 0
    refused = shell.call(*call, "--max-tokens", 100)
    assert refused.code == 65
    assert "--max-tokens was not given, is now 100. Give these options as then" in refused.err
    assert "prompts.canary.* away" in refused.err
    assert "--fresh" not in refused.err
    for path in shell.folder.glob("prompts.canary.*"):
        path.unlink()
    assert shell.call(*call, "--max-tokens", 100).code == 0


def test_what_a_canary_costs_is_told_beside_what_the_run_will(shell: Shell) -> None:
    call = ["estimate", shell.write_rows(60), "--emulator", "--canary", 30]
    told = shell.call(*call)
    assert "30 of 60 rows are asked of the emulator, which bills nothing; " in told.err
    cost, beside = told.out.splitlines()[3:5]
    assert cost.startswith("Cost: ")
    assert re.fullmatch(
        r"The canary's 30 rows would have cost \d\.\d+ RUB \(the emulator bills nothing\) "
        r"on top of that: a run asks them again\.",
        beside,
    )


def test_the_simplest_way_to_a_narrower_range_is_named_first(shell: Shell) -> None:
    few, more = shell.write_rows(3), shell.write_rows(150, "more.jsonl")
    limit, canary = ("--max-tokens", 100), "or --canary 30, without --offline."
    told = [
        shell.call("estimate", *call, "--offline").err.splitlines()[-1]
        for call in ((few,), (few, *limit), (more,), (more, *limit))
    ]
    assert told == [
        "To narrow the range, give --max-tokens or --like with earlier results.",
        "To narrow the range, give --like with earlier results.",
        f"To narrow the range, give --max-tokens, --like with earlier results, {canary}",
        f"To narrow the range, give --like with earlier results, {canary}",
    ]
    counted = shell.call("estimate", more, "--emulator").err
    assert counted.endswith("--like with earlier results, or --canary 30.\n")


def test_answers_without_a_limit_are_bounded_alike_before_a_run_and_at_its_start(
    shell: Shell,
) -> None:
    rows = shell.write_rows(3)
    why = "since without --max-tokens only the model's context ends an answer"
    told = shell.call("estimate", rows, "--offline")
    tokens = re.search(rf"Output: 3 to (\d+,\d+) tokens, {why}\.", told.out)
    assert tokens
    assert 3 * 32_700 < int(tokens[1].replace(",", "")) < 3 * 32_768
    cost = re.search(r"Cost: (.* RUB) \(prices", told.out)
    assert cost
    begun = shell.call("run", rows, "-o", "out.jsonl", "--emulator")
    assert f"; {cost[1]}, {why}; " in begun.err.splitlines()[0]
    found = shell.call("estimate", rows, *_EMULATED).json["output_tokens"]
    assert (found["basis"], found["unlimited"]) == ("max_tokens", 3)


def test_standard_input_is_read_once(shell: Shell) -> None:
    rows = shell.write_rows(50)
    given = ["estimate", "-", "--offline", "--json"]
    done = subprocess.run(
        [PROGRAM, *given],
        cwd=shell.folder,
        env=shell.environment({"YC_API_KEY": None}),
        input=rows.read_bytes(),
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["rows"] == 50


def test_offline_needs_neither_a_credential_nor_a_folder_and_is_a_range(shell: Shell) -> None:
    done = shell.call("estimate", shell.write_rows(3), "--offline", YC_API_KEY=None)
    assert done.code == 0
    assert "a rough guess: 3 to 10 characters a token" in done.out


def test_without_a_credential_it_says_how_to_get_one(shell: Shell) -> None:
    call = ["estimate", shell.write_rows(3), "--folder-id", FOLDER]
    assert shell.call(*call, YC_API_KEY=None).code == 77


def test_a_refused_credential_and_a_wrong_model_have_their_exit_codes(shell: Shell) -> None:
    rows = shell.write_rows(3)
    with shell.emulator("--api-key", "the-key") as emulator:
        assert shell.call("estimate", rows, *emulator.options).code == 77
        call = ["estimate", rows, *emulator.options, "--model", "no-such-model"]
        assert shell.call(*call, YC_API_KEY="the-key").code == 78


@pytest.mark.parametrize(
    "options",
    [("--offline", "--exact"), ("--offline", "--canary", 30), ("--canary", 29)],
    ids=str,
)
def test_options_that_make_no_sense_are_bad_usage(shell: Shell, options: tuple[object]) -> None:
    assert shell.call("estimate", shell.write_rows(1), *options).code == 2


def test_exact_can_not_read_standard_input_twice(shell: Shell) -> None:
    assert shell.call("estimate", "-", "--exact", "--emulator").code == 2


def test_one_settings_file_serves_run_and_estimate(shell: Shell) -> None:
    shell.path("yagpt-batch.toml").write_text("max-tokens = 50\nattempts = 2\nconfidence = 0.9\n")
    rows = shell.write_rows(2)
    found = shell.call("estimate", rows, *_EMULATED).json
    assert (found["output_tokens"]["most"], found["confidence"]) == (100, 0.9)
    assert shell.call("run", rows, "-o", "out.jsonl", "--emulator").code == 0
    shell.path("yagpt-batch.toml").write_text("confidenc = 0.9\n")
    refused = shell.call("estimate", rows, *_EMULATED)
    assert refused.code == 2
    assert "Did you mean confidence?" in refused.err


def test_the_hours_follow_from_the_rates(shell: Shell) -> None:
    call = ["estimate", shell.write_rows(41), "--offline", "--rate", "10/h", "--folder-id", FOLDER]
    assert "Time: 41 rows: 4 h 00 min and the last answers, bound by 10 an hour" in (
        shell.call(*call).out
    )


def test_where_polls_bind_that_is_said(shell: Shell) -> None:
    call = ["estimate", shell.write_rows(41), "--folder-id", FOLDER, "--offline", "--rate", "none"]
    told = shell.call(*call).out.splitlines()[-1]
    assert told.endswith("bound by 50 a second for polls, two a row.")
    assert shell.call(*call, "--json").json["time"]["of"] == "polls"


def test_a_run_that_begins_says_what_it_will_roughly_come_to_and_a_resume_does_not(
    shell: Shell,
) -> None:
    rows = shell.write_rows(4)
    call = ["run", rows, "-o", "out.jsonl", "--emulator", "--max-tokens", 100]
    begun, resumed = shell.call(*call, "--limit", 2), shell.call(*call)
    assert begun.err.splitlines()[0].startswith(
        "To send, 2 rows: roughly 34 to 49 tokens in; 0.0036 to "
    )
    assert "bound by 10 a second." in begun.err.splitlines()[0]
    assert "To send" not in resumed.err
    assert "To send, 4 rows" in shell.call(*call, "--fresh").err
    of_programs = shell.call(*call, "--fresh", "--progress", "json").err.splitlines()
    told = [line for line in of_programs if not line.startswith("{")]
    assert told[0].startswith("To send, 4 rows")
    assert "To send" not in shell.call(*call, "--fresh", "--progress", "none").err


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (['{"prompt": 5}', '{"prompt": 6}'], "none of the 2 rows looked at can be sent, though"),
        (['{"q": 5}', '{"q": 6}'], "none of the 2 rows looked at can be sent: they have "),
        (['{"prompt": 5}'], "none of its lines is fit to be sent."),
        (["{", "{"], "none of the 2 rows looked at can be sent: a row is a JSON object"),
    ],
)
def test_where_no_row_can_be_sent_each_reason_is_told_once(
    shell: Shell, lines: list[str], why: str
) -> None:
    shell.path("in.jsonl").write_text("".join(f"{line}\n" for line in lines))
    done = shell.call("estimate", "in.jsonl", "--offline")
    assert (done.code, done.out) == (65, "")
    assert done.err.splitlines()[-1].startswith(f"yagpt-batch: in.jsonl: {why}")
    for number in range(1, len(lines) + 1):
        assert done.err.count(f"in.jsonl:{number}: ") == 1
    assert done.err.count("none of ") == 1
