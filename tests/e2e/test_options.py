"""What options, variables and the settings file come to, as the service and the user see it."""

import json
import re
import uuid
from dataclasses import replace

import pytest

from pipeline.input.template import Template
from tests.e2e.command import Shell, count_lines
from tests.e2e.hostile import Hostile
from tests.oracle import RECIPE, check, run_id, whole_lines

RATES = ("--rate", "5/s", "--rate", "8/3s")


def test_the_summary_as_json_is_all_that_standard_output_holds(
    shell: Shell, service: Hostile
) -> None:
    rows = shell.write_rows(6)
    done = shell.call("run", rows, "-o", "out.jsonl", *service.options, "--json")
    story = check(rows, shell.path("out.jsonl"), service.ledger())
    assert done.json.items() >= (story.totals | {"exit": 0}).items()
    assert done.out.count("\n") == 1


def test_progress_for_machines_is_a_json_object_a_line(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(6)
    done = shell.call("run", rows, "-o", "out.jsonl", *service.options, "--progress", "json")
    shown = [json.loads(line) for line in done.err.splitlines() if line.startswith("{")]
    assert shown[0].items() >= {"total": 6, "finished": 0, "failed": 0, "doubts": 0}.items()


def test_progress_can_be_silent(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(2)
    done = shell.call("run", rows, "-o", "out.jsonl", *service.options, "--progress", "none")
    assert (done.code, done.err) == (0, "")


@pytest.mark.promise("P17")
def test_plain_progress_ends_with_what_was_reached(shell: Shell, service: Hostile) -> None:
    done = shell.call("run", shell.write_rows(5), "-o", "out.jsonl", *service.options)
    assert "0/5 rows" in done.err
    facts = "5/5 rows · 5 submitted · 0 in flight · 5 ok · 0 failed"
    assert re.fullmatch(rf"[-\d]+ [\d:]+ {facts} · 0\.0\d\d RUB spent", done.err.splitlines()[-1])
    assert done.out.startswith("5 rows ok")


def test_the_log_file_tells_the_life_of_a_row_as_json_lines(
    shell: Shell, service: Hostile
) -> None:
    rows = shell.write_rows(3)
    call = ["run", rows, "-o", "out.jsonl", *service.options, "--log-file", "log.jsonl"]
    assert shell.call(*call).code == 0
    events = whole_lines(shell.path("log.jsonl"))
    of_two = [event for event in events if event.get("line") == 2]
    assert [event["event"] for event in of_two] == ["sent", "accepted", "written"]
    assert [event["message"][0] for event in of_two] == ["→", "←", "✓"]
    (result,) = (line for line in whole_lines(shell.path("out.jsonl")) if line.get("line") == 2)
    assert {event.get("operation_id") for event in of_two} == {None, result["operation_id"]}
    assert all(event["seconds"] >= 0 for event in of_two[1:])


def test_a_flag_beats_a_variable_and_a_variable_the_file(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(1)
    shell.path("yagpt-batch.toml").write_text(
        'temperature = 0.25\nmax-tokens = 111\nsystem = "of the file"\nkeep = ["prompt"]\n'
    )
    done = shell.call(
        *("run", rows, "-o", "out.jsonl", *service.options, "--system", "of the flag", "-v"),
        YAGPT_MAX_TOKENS="222",
        YAGPT_SYSTEM="of the variable",
    )
    assert done.code == 0, done.err
    (seen,) = service.submits
    assert seen.json["completionOptions"] == {
        "stream": False,
        "temperature": 0.25,
        "maxTokens": "222",
    }
    assert seen.json["messages"][0] == {"role": "system", "text": "of the flag"}
    assert "kept" in whole_lines(shell.path("out.jsonl"))[0]
    assert "--max-tokens 222, from YAGPT_MAX_TOKENS" in done.err


def test_verbose_names_the_file_and_the_option_that_a_setting_comes_from(
    shell: Shell, service: Hostile
) -> None:
    shell.path("yagpt-batch.toml").write_text('max-tokens = 111\nrate = "5/s"\n')
    call = ["run", shell.write_rows(1), "-o", "out.jsonl", *service.options, "-v"]
    done = shell.call(*call, "--patience", "12h", "--raw")
    assert "--patience 12h, from the command line\n" in done.err
    assert "--raw, from the command line\n" in done.err
    said = [line for line in done.err.splitlines() if "yagpt-batch.toml" in line]
    assert any("max-tokens" in line for line in said)
    assert "Rate(" not in done.err


def test_another_settings_file_can_be_named(shell: Shell, service: Hostile) -> None:
    shell.path("yagpt-batch.toml").write_text('model = "no-such-model"\n')
    shell.path("other.toml").write_text('model = "yandexgpt"\nno-totals = true\n')
    call = ["run", shell.write_rows(1), "-o", "out.jsonl", *service.options]
    assert shell.call(*call, "--config", "other.toml").code == 0
    assert service.submits[0].json["modelUri"].endswith("/yandexgpt")
    assert len(whole_lines(shell.path("out.jsonl"))) == 1


@pytest.mark.promise("P13")
def test_a_rate_found_out_by_one_run_is_what_auto_begins_with(shell: Shell) -> None:
    with shell.emulator("--rate", "5/s", "--latency", 0.1) as emulator:
        rows, options = shell.write_rows(20), emulator.options
        first = shell.call("run", rows, "-o", "first.jsonl", *options, "--rate", "auto")
        assert first.code == 0, first.err
        assert "Quota for submits: the service allows 5 a second, not 10 a second" in first.err
        (known,) = shell.path(".local/state/yagpt-batch").glob("*.known")
        assert json.loads(known.read_bytes()) == ["5/s"]
        refused = emulator.ledger()["refused_submits"]
        second = shell.call("run", rows, "-o", "second.jsonl", *options, YAGPT_RATE="auto")
        assert second.code == 0, second.err
        # It begins with what is known, and tries one more: once.
        assert sum(emulator.ledger()["refused_submits"].values()) <= sum(refused.values()) + 2


def test_auto_stands_alone(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(1)
    done = shell.call(
        "run", rows, "-o", "o.jsonl", *service.options, "--rate", "auto", "--rate", "5/s"
    )
    assert done.code == 2
    assert "--rate auto stands alone" in done.err


@pytest.mark.promise("P13")
def test_two_rates_in_one_variable_both_hold(shell: Shell) -> None:
    rows = shell.write_rows(10)
    with shell.emulator(*RATES, "--latency", 0.1) as emulator:
        done = shell.call(
            *("run", rows, "-o", "out.jsonl", *emulator.options),
            YAGPT_RATE="5/s 8/3s",
            YAGPT_MODEL="yandexgpt",
        )
        ledger = emulator.ledger()
    assert done.code == 0, done.err
    assert ledger["refused_submits"] == {}
    check(rows, shell.path("out.jsonl"), ledger, recipe=replace(RECIPE, model="yandexgpt"))


def test_a_yagpt_name_beats_a_yc_name(shell: Shell, service: Hostile) -> None:
    call = ["run", shell.write_rows(1), "-o", "out.jsonl", "--endpoint", service.url]
    done = shell.call(
        *call,
        YC_FOLDER_ID="b1gother000000000000",
        YAGPT_FOLDER_ID="b1gemulator0000000000",
        YAGPT_API_KEY="first",
        YC_API_KEY="second",
    )
    assert done.code == 0, done.err
    assert service.submits[0].headers["authorization"] == "Api-Key first"


@pytest.mark.promise("P1")
def test_a_limit_counts_rows_of_the_input_and_can_be_raised(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.path("in.jsonl"), shell.path("out.jsonl")
    rows.write_text('\n{"prompt": "a"}\n\nnot JSON\n{"prompt": "b"}\n{"prompt": "c"}\n')
    call = ["run", rows, "-o", output, *service.options]
    assert shell.call(*call, "--limit", 3).code == 3
    story = check(rows, output, limit=3)
    assert (set(story.results), set(story.failures)) == ({2, 5}, {4})
    assert shell.call(*call, "--limit", 2).code == 3
    assert shell.call(*call).code == 3
    assert set(check(rows, output).results) == {2, 5, 6}


def test_kept_fields_and_the_raw_response_stand_in_the_result(
    shell: Shell, service: Hostile
) -> None:
    rows = shell.path("in.jsonl")
    rows.write_text('{"prompt": "a", "source": {"n": [1, "ё"]}}\n{"prompt": "b"}\n')
    options = [*service.options, "--keep", "source", "--keep", "prompt", "--raw"]
    assert shell.call("run", rows, "-o", "out.jsonl", *options).code == 0
    results = check(rows, shell.path("out.jsonl")).results
    assert results[1]["kept"] == {"source": {"n": [1, "ё"]}, "prompt": "a"}
    assert results[2]["kept"] == {"source": None, "prompt": "b"}
    said = results[1]["response"]["alternatives"][0]["message"]["text"]
    assert said == results[1]["text"]
    assert results[1]["response"]["usage"]["totalTokens"] == str(
        results[1]["usage"]["total_tokens"]
    )


def test_a_template_makes_the_prompt(shell: Shell, service: Hostile) -> None:
    text = "Translate to {language}: {text}"
    rows = shell.path("in.jsonl")
    rows.write_text(
        '{"language": "Finnish", "text": "Доброе утро"}\n{"language": "Finnish"}\n',
        encoding="utf-8",
    )
    done = shell.call("run", rows, "-o", "out.jsonl", *service.options, "--template", text)
    assert done.code == 3
    recipe = replace(RECIPE, template=Template.parse(text))
    story = check(rows, shell.path("out.jsonl"), service.ledger(), recipe=recipe)
    assert story.failures[2]["error"]["code"] == "missing_field"
    (seen,) = service.submits
    assert seen.json["messages"] == [{"role": "user", "text": "Translate to Finnish: Доброе утро"}]


def test_without_totals_the_output_holds_results_only(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(3), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options]
    assert shell.call(*call, "--no-totals").code == 0
    assert check(rows, output, service.ledger()).totals is None
    assert shell.call(*call).code == 0
    assert check(rows, output, service.ledger()).totals["rows"] == 3
    assert shell.call(*call, "--no-totals").code == 0
    assert len(service.submits) == 3


def test_data_logging_is_left_to_the_account_unless_it_is_refused(
    shell: Shell, service: Hostile
) -> None:
    rows = shell.write_rows(2)
    assert shell.call("run", rows, "-o", "a.jsonl", *service.options).code == 0
    assert all("x-data-logging-enabled" not in seen.headers for seen in service.submits)
    call = ["run", rows, "-o", "b.jsonl", *service.options]
    assert shell.call(*call, "--no-data-logging").code == 0
    assert [seen.headers.get("x-data-logging-enabled") for seen in service.submits[2:]] == [
        "false",
        "false",
    ]


def test_the_folder_is_a_header_for_a_users_token_only(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(1)
    assert shell.call("run", rows, "-o", "a.jsonl", *service.options).code == 0
    call = ["run", rows, "-o", "b.jsonl", *service.options]
    done = shell.call(*call, YC_API_KEY=None, YC_IAM_TOKEN=" t1.token\n")
    assert done.code == 0, done.err
    by_key, by_token = service.submits
    assert by_key.headers["authorization"] == "Api-Key test-key"
    assert "x-folder-id" not in by_key.headers
    assert by_token.headers["authorization"] == "Bearer t1.token"
    assert by_token.headers["x-folder-id"] == "b1gemulator0000000000"


@pytest.mark.promise("P4")
@pytest.mark.promise("P16")
def test_a_key_that_occurs_in_ids_and_answers_spoils_neither(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(1), shell.path("out.jsonl")
    call = ["run", rows, "-o", output, *service.options]
    with shell.started(*call, YC_API_KEY="d7q") as running:  # every operation id begins so
        running.until(lambda: count_lines(output), 4)
        running.wait(5)
    check(rows, output, service.ledger())


def test_a_request_is_what_the_service_documents(shell: Shell, service: Hostile) -> None:
    rows, output = shell.path("in.jsonl"), shell.path("out.jsonl")
    rows.write_text('{"prompt": "Привет\\u0000\\u2028", "max_tokens": 500, "id": 7}\n')
    assert shell.call("run", rows, "-o", output, *service.options).code == 0
    (seen,) = service.submits
    assert seen.json == {
        "modelUri": "gpt://b1gemulator0000000000/yandexgpt-lite",
        "completionOptions": {"stream": False, "maxTokens": "500"},
        "messages": [{"role": "user", "text": "Привет\0\u2028"}],
    }
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["x-client-request-id"] == str(uuid.uuid5(run_id(output), "1/1"))
    assert whole_lines(output)[0]["id"] == "7"


@pytest.mark.promise("P8")
def test_a_folder_that_is_not_there_is_to_be_made(shell: Shell) -> None:
    rows, call = shell.write_rows(2), ("--emulator", "--progress", "none")
    lacks = "the folder no does not exist. Make the folder no, or name a file in another one.\n"
    begun = shell.call("run", rows, "-o", "no/out.jsonl", *call)
    assert (begun.code, begun.err) == (74, f"yagpt-batch: can't open no/out.jsonl: {lacks}")
    logged = shell.call("run", rows, "-o", "out.jsonl", "--log-file", "no/log", *call)
    assert (logged.code, logged.err) == (74, f"yagpt-batch: can't open no/log: {lacks}")
    measured = shell.call("run", rows, "-o", "out.jsonl", "--metrics-file", "no/m.prom", *call)
    why = "the folder no does not exist; tried again.\n"
    assert (measured.code, measured.err) == (0, f"The metrics no/m.prom can't be written: {why}")
    for command in ("report", "export"):
        name = f"no/{command}.csv"
        done = shell.call(command, "out.jsonl", "-o", name)
        assert (done.code, done.err) == (74, f"yagpt-batch: can't write {name}: {lacks}")


def test_a_file_of_metrics_that_nobody_collects_is_told(shell: Shell) -> None:
    call = ("run", shell.write_rows(1), "-o", "out.jsonl", "--emulator", "--progress", "none")
    told = shell.call(*call, "--metrics-file", "m.txt")
    assert told.code == 0
    assert told.err.startswith("--metrics-file m.txt: the textfile collector of Prometheus's ")
    assert shell.path("m.txt").exists()
    assert "collector" not in shell.call(*call, "--metrics-file", "m.prom").err


def test_the_embedded_emulator_and_the_service_are_never_mixed(
    shell: Shell, service: Hostile
) -> None:
    rows = shell.write_rows(1)
    assert shell.call("run", rows, "-o", "out.jsonl", *service.options).code == 0
    refused = shell.call("run", rows, "-o", "out.jsonl", "--emulator")
    assert refused.code == 65
    assert "--emulator was not given, is now given" in refused.err


def test_a_proxy_of_the_environment_is_not_asked_for_the_embedded_emulator(shell: Shell) -> None:
    done = shell.call(
        *("run", shell.write_rows(1), "-o", "out.jsonl", "--emulator"),
        HTTP_PROXY="http://127.0.0.1:9",
        ALL_PROXY="http://127.0.0.1:9",
    )
    assert done.code == 0, done.err


def test_a_few_operations_at_once_are_enough_where_that_is_asked_for(
    shell: Shell, service: Hostile
) -> None:
    rows = shell.write_rows(9)
    call = ["run", rows, "-o", "out.jsonl", *service.options, "--max-in-flight", 3]
    assert shell.call(*call).code == 0
    paths = [seen.path for seen in service.seen]
    assert all("/operations/" in "".join(paths[at : at + 4]) for at in range(len(paths) - 3))
    check(rows, shell.path("out.jsonl"), service.ledger())


@pytest.mark.promise("P8")
def test_a_text_from_a_file_is_sent_and_makes_another_run_when_it_changes(
    shell: Shell, service: Hostile
) -> None:
    rows, text = shell.write_rows(1), shell.path("system.txt")
    text.write_bytes("\ufeffОтвечай кратко.\n".encode())
    call = ["run", rows, "-o", "out.jsonl", *service.options, "--system"]
    assert shell.call(*call, "@system.txt").code == 0
    assert service.submits[0].json["messages"][0] == {"role": "system", "text": "Отвечай кратко."}
    assert shell.call(*call, "Отвечай кратко.").code == 0
    text.write_text("Отвечай подробно.")
    changed = shell.call(*call, "@system.txt")
    assert changed.code == 65
    assert '--system was "Отвечай кратко.", is now "Отвечай подробно."' in changed.err
