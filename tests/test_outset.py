"""What a run that begins says of itself in one line."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.checks.preflight import ROWS, Report, look, rows_ahead
from pipeline.codec import encode
from pipeline.estimate.outset import Outset
from pipeline.files.source import Source
from pipeline.input.rows import Recipe, Row, parse_row
from pipeline.life.facts import Cursor
from pipeline.pacing.rates import Rate
from pipeline.settings import DEFAULT_POLL_RATES, DEFAULT_RATES
from tests.builders import price_table

RECIPE = Recipe("yandexgpt-lite", "b1g", max_tokens=100)
TABLE = price_table()


def outset(*rows: Mapping[str, object], recipe: Recipe = RECIPE) -> Outset:
    found = Outset()
    for number, row in enumerate(rows, 1):
        read = parse_row(number, encode(row), recipe)
        assert isinstance(read, Row)
        found.meet(read)
    return found


def sentence(found: Outset, rows: int | None) -> str:
    return found.sentence(rows, TABLE, DEFAULT_RATES, DEFAULT_POLL_RATES)


def test_rows_with_limits_have_a_range_of_costs() -> None:
    found = outset(*[{"prompt": "П" * 1000}] * 10)
    # Ten times 14 tokens and 1,000 characters, of which a token has 3 to 10; answers of 1 to 100.
    price = TABLE.find("yandexgpt-lite")
    assert price is not None
    least, most = price.of(1140, 10), price.of(3473, 1000)
    assert (round(least, 2), round(most, 2)) == (Decimal("0.12"), Decimal("0.45"))
    assert sentence(found, 10) == (
        "To send, 10 rows: roughly 1,100 to 3,500 tokens in; 0.12 to 0.45 RUB, "
        "by how long answers will be; 0 s and the last answers, bound by 10 a second."
    )


def test_a_row_without_a_limit_can_have_an_answer_as_long_as_the_context_allows() -> None:
    """Told as by `estimate`: the same range, for the same reason."""
    rows = [{"prompt": "П" * 1000}, {"prompt": "П" * 1000}]
    free = Recipe("yandexgpt-lite", "b1g")
    ends = "only the model's context ends"
    said = sentence(outset(*rows, recipe=free), 2)
    assert f"0.023 to 6.60 RUB, since without --max-tokens {ends} an answer; " in said
    mixed = outset({"prompt": "a", "max_tokens": 5}, rows[1], recipe=free)
    assert f"RUB, since in 1 row without --max-tokens {ends} the answer; " in sentence(mixed, 2)


def test_a_model_without_a_price_is_named() -> None:
    found = outset({"prompt": "a"}, {"prompt": "a", "model": "unheard-of"})
    assert "cost unknown, since no price is known of unheard-of" in sentence(found, 2)


def test_more_rows_than_were_looked_at_are_taken_to_be_like_these() -> None:
    found = outset(*[{"prompt": "П" * 1000}] * 10)
    said = sentence(found, 51_234)
    assert said.startswith(
        "To send, about 51,000 rows, judging by the first 10: roughly 5,800,000"
    )
    assert said.endswith("bound by 5,000 an hour.")
    assert sentence(found, None).startswith("To send, at first 10 rows: roughly 1,100 ")


@pytest.mark.parametrize("guessed", [24_600, 25_000, 25_021, 25_400])
def test_the_hours_are_those_of_the_number_that_is_told(guessed: int) -> None:
    """Of 25,001 rows the last one would wait for another hour."""
    said = sentence(outset(*[{"prompt": "П" * 1000}] * 10), guessed)
    assert said.startswith("To send, about 25,000 rows, ")
    assert said.endswith("; 4 h 08 min and the last answers, bound by 5,000 an hour.")


@pytest.mark.parametrize("limit", [None, ROWS + 1000])
def test_the_rows_of_a_long_file_follow_from_its_size(tmp_path: Path, limit: int | None) -> None:
    path = tmp_path / "in.jsonl"
    good, bad = '{"prompt": "a"}\n', '{"promt": "a"}\n\n'
    path.write_text((good + bad) * ROWS)
    source = Source(path)
    report = asyncio.run(look(source, RECIPE, Cursor(), limit))
    ahead = rows_ahead(report, source, limit)
    source.close()
    assert not report.complete
    assert report.outset.rows == ROWS // 2
    assert ahead == (ROWS if limit is None else limit // 2)


def test_a_resume_foretells_nothing(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"prompt": "a"}\n' * 3)
    source = Source(path)
    report: Report = asyncio.run(look(source, RECIPE, Cursor(16, 2, 1), None))
    source.close()
    assert (report.rows, report.outset.rows) == (2, 0)


def test_no_rate_binds_nothing() -> None:
    said = outset({"prompt": "a"}).sentence(1, TABLE, (), (Rate(50, 1.0),))
    assert said.endswith("0 s and the last answers, with no limit.")
