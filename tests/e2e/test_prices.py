"""`prices`, and `--prices` wherever something is priced."""

from decimal import Decimal

import pytest

from tests.e2e.command import Shell
from tests.e2e.hostile import Hostile
from tests.oracle import check

DEAR = """
[[list]]
valid_from = 2020-01-01
mode = "async"
currency = "RUB"
vat_included = true
source = "the contract"

[[list.price]]
models = ["yandexgpt-lite"]
input = 1000
output = 1000
"""


def test_the_table_is_shown_with_its_age_and_source(shell: Shell) -> None:
    done = shell.call("prices")
    assert done.code == 0, done.err
    assert "since 2026-03-03 (" in done.out
    assert "days ago):" in done.out
    assert "RUB: VAT included. ru/_pricing/" in done.out
    (lite,) = [line for line in done.out.splitlines() if line.startswith("yandexgpt-lite,")]
    assert lite.split()[1:4] == ["yandexgpt-5-lite", "0.10", "0.10"]
    assert lite.split()[-2:] == ["0.5", "0.5"]


def test_the_list_of_a_day_is_shown(shell: Shell) -> None:
    done = shell.call("prices", "--on", "2024-03-24")
    assert "since 2023-12-06 (" in done.out
    assert "2.5" in done.out
    assert "No prices are known of 2023-01-01" in shell.call("prices", "--on", "2023-01-01").out


def test_as_json_all_lists_are_there(shell: Shell) -> None:
    told = shell.call("prices", "--json").json
    assert told["date"] == "2026-03-03"
    assert told["age_days"] > 0
    assert {known["currency"] for known in told["lists"]} == {"RUB", "USD"}
    (roubles,) = [
        known
        for known in told["lists"]
        if (known["valid_from"], known["currency"]) == ("2026-03-03", "RUB")
    ]
    assert roubles["prices"][0] == {
        "model": "yandexgpt-lite",
        "input": "0.10",
        "output": "0.10",
        "input_units": "0.5",
        "output_units": "0.5",
    }


def test_what_is_shown_as_toml_can_be_used_as_it_is(shell: Shell) -> None:
    shell.path("mine.toml").write_text(shell.call("prices", "--toml").out, encoding="utf-8")
    assert shell.call("prices", "--prices", "mine.toml", "--json").json == (
        shell.call("prices", "--json").json
    )


@pytest.mark.promise("P15")
def test_prices_of_ones_own_are_what_a_run_status_and_audit_go_by(
    shell: Shell, service: Hostile
) -> None:
    shell.path("dear.toml").write_text(DEAR)
    rows = shell.write_rows(3)
    run = ["run", rows, "-o", "out.jsonl", *service.options, "--json"]
    told = shell.call(*run, "--prices", "dear.toml").json
    tokens = told["usage"]["total_tokens"]
    assert Decimal(told["cost"]["amount"]) == tokens
    assert told["cost"]["prices"] == "2020-01-01"
    status = ["status", "out.jsonl", "--json"]
    for mine in (
        shell.call(*status, "--prices", "dear.toml"),
        shell.call(*status, YAGPT_PRICES="dear.toml"),
    ):
        assert Decimal(mine.json["totals"]["cost"]["amount"]) == tokens
    assert Decimal(shell.call(*status).json["totals"]["cost"]["amount"]) * 10000 == tokens
    assert shell.call("audit", "out.jsonl", "--prices", "dear.toml").code == 0
    # By other prices the costs would be others too: they are not compared.
    assert shell.call("audit", "out.jsonl").code == 0
    # The prices are not part of what makes it this run.
    assert shell.call(*run).code == 0
    check(rows, shell.path("out.jsonl"), service.ledger())


@pytest.mark.promise("P15")
def test_a_run_whose_model_has_no_price_says_so_at_its_end(shell: Shell, service: Hostile) -> None:
    shell.path("dear.toml").write_text(DEAR.replace("yandexgpt-lite", "another"))
    rows = shell.write_rows(2)
    call = ["run", rows, "-o", "out.jsonl", *service.options]
    done = shell.call(*call, "--prices", "dear.toml")
    assert done.code == 0
    assert "No price is known for yandexgpt-lite: what was used is counted" in done.err
    assert "cost unknown (prices of 2020-01-01)" in done.out
    assert "No price is known" not in shell.call(*call).err


def test_the_settings_file_names_prices_for_every_command(shell: Shell, service: Hostile) -> None:
    shell.path("dear.toml").write_text(DEAR)
    shell.path("yagpt-batch.toml").write_text('prices = "dear.toml"\nattempts = 2\n')
    rows = shell.write_rows(2)
    told = shell.call("run", rows, "-o", "out.jsonl", *service.options, "--json").json
    assert told["cost"]["prices"] == "2020-01-01"
    status = shell.call("status", "out.jsonl", "--json").json
    assert status["totals"]["cost"] == told["cost"]
    assert shell.call("prices", "--json").json["date"] == "2020-01-01"


@pytest.mark.parametrize("command", [["prices"], ["status", "out.jsonl"], ["audit", "out.jsonl"]])
def test_every_fault_of_a_file_of_prices_is_told_in_a_sentence(
    shell: Shell, command: list[str]
) -> None:
    text = DEAR.replace("= 1000", '= "dear"').replace("true", '"yes"')
    shell.path("dear.toml").write_text(text)
    done = shell.call(*command, "--prices", "dear.toml")
    assert done.code == 2
    assert "dear.toml: list 1: \"vat_included\" is 'yes', and must be true or false." in done.err
    assert 'dear.toml: list 1, price 1: "output" is "dear", and must be a number' in done.err
    assert "Traceback" not in done.err
    missing = shell.call(*command, "--prices", "none.toml")
    assert missing.code == 2
    assert "none.toml: can't be read: No such file" in missing.err


def test_a_file_of_prices_with_a_fault_stops_a_run_before_it_begins(
    shell: Shell, service: Hostile
) -> None:
    shell.path("dear.toml").write_text("list = 1")
    rows = shell.write_rows(1)
    call = ["run", rows, "-o", "out.jsonl", *service.options, "--prices", "dear.toml"]
    done = shell.call(*call)
    assert done.code == 2
    assert "dear.toml: there is no [[list]] of prices." in done.err
    assert not shell.path("out.jsonl").exists()
