"""What stands on the page is what the files say, and agrees with `cost`."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.codec import Json
from pipeline.money.account import Account, as_json
from pipeline.money.totals import Sums, Tally
from pipeline.pacing.rates import Rate
from pipeline.report.background import Background
from pipeline.report.buckets import Buckets
from pipeline.report.chronicle import Chronicle
from pipeline.report.page import Page, Report, page
from pipeline.report.plots import Zone
from pipeline.report.stamps import second_of
from pipeline.results.receipts import receipt
from pipeline.wording import so_much
from tests.builders import MODEL, NOW, fields, price_table
from tests.lines import TOTALS, USAGE, answer, failed
from tests.test_audit import story

PRICES = price_table()
_BACKGROUND = Background({"model": MODEL}, (Rate(5, 1.0),), "running", 40)


def made(output: Path, background: Background | None = None) -> Report:
    chronicle = Chronicle(PRICES, MODEL)
    read = receipt(output, chronicle.see)
    account = Account([read.bill])
    return Report(
        *(output.name, account, chronicle, background, PRICES, Zone(10_800), NOW, read.remarks)
    )


def of(folder: Path, *lines: Any, background: Background | None = None) -> Page:
    output = folder / "out.jsonl"
    output.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return page(made(output, background))


def fact(found: Page, name: str) -> tuple[str, str]:
    ((value, note),) = [(f.value, f.note) for f in found.facts if f.name == name]
    return value, note


@pytest.mark.promise("P15")
def test_the_head_agrees_with_cost(folder: Path) -> None:
    report = made(story(folder / "run", complete=True).paths.output, _BACKGROUND)
    told, found = as_json(report.account, PRICES), page(report)
    usage = fields(told["usage"])
    assert fact(found, "Rows") == ("6", "3 ok, 2 failed, 1 held in doubt")
    assert fact(found, "Tokens in")[0] == f"{usage['input_tokens']:,}"
    assert fact(found, "Tokens in")[1].startswith(f"{usage['completion_tokens']:,} out")
    assert fact(found, "Cost")[0] == so_much(Decimal(str(fields(told["cost"])["amount"])), "RUB")
    assert fact(found, "Doubts") == (
        "1",
        f"at worst {so_much(Decimal(str(told['doubt_cost'])), 'RUB')}",
    )
    counted = {line[0]: int(line[1]) for line in found.finishes.lines}
    assert counted == {"final": 3, "failed": 2, "held in doubt": 1}
    assert sum(int(line[-1]) for line in found.troubles.lines) == 3


def test_what_is_not_known_is_said_to_be_so(folder: Path) -> None:
    found = of(folder, answer(model="new", usage=None, finish=None))
    assert fact(found, "Cost")[0] == "unknown"
    assert found.below_models[-1].startswith("No price is known for new: ")
    assert fact(found, "Doubts")[0] == "unknown"
    assert fact(found, "Tokens in")[1] == "0 out; unknown for 1 row"
    assert found.state == "1 row done; without its checkpoint it is not known how many there are."
    assert found.settings == []
    assert found.finishes.lines == [["not told", "1"]]
    legends = [words for picture in found.throughput for _, words in picture.plot.legend]
    assert "as fast as the documented limits allow" in legends
    assert found.throughput[1].caption == (
        "By the documented quota of 5,000 an hour a bar has room for 5,000 submits at most; "
        "no other one is known of this run."
    )


def test_the_price_lists_of_the_answers_are_named(folder: Path) -> None:
    stamps = ("2025-12-01T00:00:00Z", "2026-03-05T00:00:00Z")
    found = of(folder, *(answer(model=MODEL, finished_at=stamp) for stamp in stamps))
    assert fact(found, "Cost")[1] == "prices of 2025-11-25, 2026-03-03"


@pytest.mark.promise("P15")
def test_the_cost_on_the_page_has_what_was_superseded_beside_it(folder: Path) -> None:
    usage = {"input_tokens": 1000, "completion_tokens": 0, "total_tokens": 1000, "unknown": 0}
    by_model = [{"model": MODEL}]
    totals = {**TOTALS["totals"], "replaced_usage": usage, "by_model": by_model}
    found = of(folder, answer(model=MODEL), {"totals": totals})
    more = so_much(
        Tally("replaced", MODEL, None, Sums(0, 0, 1000, 0, 0, 1000)).cost(PRICES), "RUB"
    )
    assert fact(found, "Cost")[1].endswith(f"; and {more} for superseded operations")
    assert "superseded" in " ".join(found.below_models)
    assert "superseded" not in fact(of(folder, answer(model=MODEL), TOTALS), "Cost")[1]


def test_doubts_of_a_totals_line_are_told(folder: Path) -> None:
    assert fact(of(folder, answer(), TOTALS), "Doubts") == ("3", "at worst 0.98 RUB")


@pytest.mark.parametrize(
    ("state", "expected", "ends", "told"),
    [
        (
            "running",
            40,
            "End in sight: 07:42.",
            "Running, 1 of 40 rows done. End in sight: 07:42.",
        ),
        ("stopped", 40, "", "Stopped, 1 of 40 rows done. The same command continues it."),
        ("finished", None, "", "Finished, 1 rows done."),
    ],
)
def test_the_state_is_the_checkpoints(
    folder: Path, state: str, expected: int | None, ends: str, told: str
) -> None:
    known = replace(_BACKGROUND, state=state, expected=expected, ends=ends)
    found = of(folder, answer(), background=known)
    assert found.state == told
    names = [fact.name for fact in found.facts]
    assert ("Ended" in names) == (state == "finished")
    assert ("Until now" in names) == (state != "finished")


def test_the_command_that_continues_the_run_is_told_where_it_is_known(folder: Path) -> None:
    resume = "To continue: yagpt-batch run in.jsonl -o out.jsonl"
    known = replace(_BACKGROUND, state="stopped", expected=40, resume=resume)
    assert of(folder, answer(), background=known).state == f"Stopped, 1 of 40 rows done. {resume}"
    grown = replace(known, changed="Rows were appended to its input: the same command goes on.")
    told = of(folder, answer(), background=grown).state
    assert told == f"Stopped, 1 of 40 rows done. {grown.changed} {resume}"


def test_times_are_those_of_the_zone(folder: Path) -> None:
    line = answer(created_at="2026-03-01T22:00:00Z", finished_at="2026-03-01T22:01:30Z")
    found = of(folder, line, background=replace(_BACKGROUND, state="finished"))
    assert fact(found, "Began") == ("01:00:00", "2026-03-02, with the first submit")
    told = "2026-03-02, with the last answer, 1 min 30 s later"
    assert fact(found, "Ended") == ("01:01:30", told)
    assert "all times are UTC+03:00" in found.made


def test_submits_behind_the_last_answer_are_explained_by_rows_that_failed(folder: Path) -> None:
    line = answer(created_at="2026-03-01T22:00:00Z", finished_at="2026-03-01T22:01:30Z")
    both = [line, failed(line=2)]
    sends = Buckets(10)
    begin = second_of("2026-03-01T22:00:00Z")
    assert begin is not None
    for late in (0, 90, 95):
        sends.add(begin + late)
    known = replace(_BACKGROUND, state="finished", sends=sends)
    told = "2026-03-02, with the last answer, 1 min 30 s later"
    why = "; rows that failed, some of them submitted after that, tell no time of theirs"
    assert fact(of(folder, *both, background=known), "Ended")[1] == told + why
    assert fact(of(folder, line, background=known), "Ended")[1] == told
    before = Buckets(10)
    before.add(begin)
    earlier = replace(known, sends=before)
    assert fact(of(folder, *both, background=earlier), "Ended")[1] == told


def test_settings_are_told_with_the_rates_and_without_what_was_not_set(folder: Path) -> None:
    settings: dict[str, Json] = {
        "model": MODEL,
        "system": "Отвечай\nкратко.",
        "raw": False,
        "keep": [],
        "x": None,
    }
    known = replace(_BACKGROUND, settings=settings, rates=())
    found = of(folder, answer(), background=known)
    assert found.settings == [("model", MODEL), ("system", "Отвечай кратко."), ("rate", "none")]
    assert found.throughput[1].caption == "No limit on submits was configured."


def test_submits_are_those_of_the_checkpoint_as_far_back_as_it_knows(folder: Path) -> None:
    begun = 1_772_400_000
    stamps = ["2026-03-01T21:20:00Z", "2026-03-01T21:20:09Z", "2026-03-01T21:20:10Z"]
    lines = [answer(created_at=stamp, finished_at="2026-03-01T21:21:00Z") for stamp in stamps]
    sends = Buckets()
    for second in (9, 9, 30):
        sends.add(begun + second)
    output = folder / "out.jsonl"
    output.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    whole = made(output, replace(_BACKGROUND, sends=sends))
    assert whole.flow.submitted.counts == {begun + 9: 2, begun + 30: 1}
    part = made(output, replace(_BACKGROUND, sends=sends, since=begun + 9))
    assert part.flow.submitted.counts == {begun: 1, begun + 9: 2, begun + 30: 1}
    assert part.flow.rates == (Rate(5, 1.0),)
    assert (
        "Until 2026-03-02 00:20:09 submits are those of rows" in page(part).throughput[0].caption
    )
    alone = made(output)
    assert alone.flow.submitted.counts == {begun: 1, begun + 9: 1, begun + 10: 1}
    assert "Submits are those of rows that were answered" in page(alone).throughput[0].caption
    assert sends.total == 3


def test_the_used_part_of_the_quota_is_told(folder: Path) -> None:
    lines = [
        answer(created_at=f"2026-03-01T21:20:{n // 5 * 2:02}Z", finished_at="2026-03-01T21:21:00Z")
        for n in range(50)
    ]
    known = replace(_BACKGROUND, rates=(Rate(5, 1.0),))
    (told, _) = of(folder, *lines, background=known).throughput
    assert told.caption.startswith(
        "50 submits in 18 s, from the first to the last. At the last call's limits of 5 a second "
        "they take 9 s at least, 50.1 % of the time."
    )


def test_time_in_which_nothing_was_submitted_though_it_could_be_is_not_taken_for_time_used(
    folder: Path,
) -> None:
    begun = 1_772_400_000
    sends = Buckets()
    for second in (*range(10), *range(90_000, 90_010)):
        sends.add(begun + second, 5)
    known = replace(_BACKGROUND, rates=(Rate(5, 1.0),), sends=sends)
    (told, _) = of(folder, answer(), background=known).throughput
    assert told.caption.startswith(
        "100 submits in 1 d 1 h 00 min, from the first to the last. For 1 d 1 h 00 min of that "
        "there was none though the limits allowed it: no process ran, the run was paused, or the "
        "service was away. At the last call's limits of 5 a second they take 19 s at least, "
        "95.2 % of the rest."
    )


def test_waiting_for_the_hour_is_time_used(folder: Path) -> None:
    begun, hourly = 1_772_400_000, Rate(100, 3600.0)
    sends = Buckets()
    sends.add(begun, 100)
    sends.add(begun + 3610, 100)
    known = replace(_BACKGROUND, rates=(hourly,), sends=sends)
    (told, _) = of(folder, answer(), background=known).throughput
    assert "though" not in told.caption
    assert "they take 1 h 00 min at least, 99." in told.caption


def test_rows_are_cited_with_what_they_cost(folder: Path) -> None:
    lines = [answer(line=n, id=f"r{n}", model=MODEL, usage=USAGE | {"input_tokens": n * 1000},
             created_at="2026-03-01T21:00:00Z", finished_at=f"2026-03-01T21:00:{60 - n}Z")
             for n in range(10, 25)]  # fmt: skip
    found = of(folder, *lines, failed(), background=_BACKGROUND)
    assert [line[0] for line in found.slowest.lines] == [f"r{n}" for n in range(10, 20)]
    assert [line[0] for line in found.costliest.lines] == [f"r{n}" for n in range(24, 14, -1)]
    assert found.costliest.lines[0] == ["r24", "24", "36 s", "24,000", "5", "2.4005"]
    assert found.costliest.texts == ["Ответ"] * 10


def test_an_output_without_times_has_no_pictures(folder: Path) -> None:
    found = of(folder, failed(), background=_BACKGROUND)
    assert (found.throughput, found.latency) == ([], None)
    assert [fact.name for fact in found.facts] == ["Rows", "Tokens in", "Cost", "Doubts"]


def test_what_could_not_be_read_is_among_the_remarks(folder: Path) -> None:
    (remark,) = of(folder, answer(), "no result").remarks
    assert remark.endswith("out.jsonl:2: this line is no result, and is not counted.")
