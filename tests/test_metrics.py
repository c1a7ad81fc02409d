"""The file for Prometheus: its format, by Prometheus's own parser, and how it is written."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pipeline.cli.watched import watched
from pipeline.clock import Clock
from pipeline.emulator.model import Config
from pipeline.ending.prospect import Eta
from pipeline.errors import Exit
from pipeline.money.spent import Spent
from pipeline.state.board import Counts
from pipeline.view.gauges import PREFIX, Told, families, text_of
from pipeline.view.metrics import Metrics
from pipeline.view.scene import Scene
from tests.e2e.command import Shell, until
from tests.e2e.hostile import serving
from tests.scratch import table
from tests.test_scene import COUNTS, ETA, NIGHT, NOW

TOLD = Told("/data/results.jsonl", "yandexgpt-lite", "1.0", NOW - 60)
QUICK = Config(submit_rates=(), poll_rates=(), latency_median=0.05, latency_sigma=0.0)
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def _read(text: str) -> Series:
    """Every sample by name and labels, as Prometheus understands it; each stands there once."""
    found = Series()
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in {"gauge", "counter"}
        assert (family.type == "counter") == all(s.name.endswith("_total") for s in family.samples)
        for sample in family.samples:
            key = sample.name.removeprefix(PREFIX), tuple(sorted(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def _told(scene: Scene | None, exit_code: int | None = None, told: Told = TOLD) -> Series:
    return _read(text_of(families(told, scene, exit_code, NOW), told.output))


def _of(series: Series, name: str, **labels: str) -> float | None:
    return series.get((name, tuple(sorted({"output": TOLD.output, **labels}.items()))))


def test_prometheus_reads_where_a_run_stands() -> None:
    series = _told(NIGHT)
    assert _of(series, "running") == 1
    assert _of(series, "info", version="1.0", model="yandexgpt-lite") == 1
    states = {
        state: _of(series, "rows", state=state)
        for state in ("ok", "failed", "held", "in_flight", "posting", "waiting", "not_begun")
    }
    assert states == {
        "ok": 12_321,
        "failed": 22,
        "held": 2,
        "in_flight": 1_204,
        "posting": 0,
        "waiting": 6,
        "not_begun": 26_445,
    }
    assert sum(map(float, filter(None, states.values()))) == COUNTS.total
    assert _of(series, "cost_total", currency="RUB") == 12.3
    assert _of(series, "projected_cost", currency="RUB", bound="high") == 41.2
    assert _of(series, "oldest_operation_age_seconds") == 8_040
    assert _of(series, "end_timestamp_seconds", bound="likely") == ETA.likely
    assert _of(series, "exit_code") is None


def test_what_is_not_known_is_not_there() -> None:
    series = _told(Scene(Counts(), NOW, None, Eta(NOW), Spent(None, "RUB")), 69)
    names = {name for name, _ in series}
    assert _of(series, "running") == 0
    assert _of(series, "exit_code") == 69
    assert names.isdisjoint(
        {"rows_expected", "cost_total", "projected_cost", "end_timestamp_seconds"}
    )
    assert {name for name, _ in _told(None, 77)} == {
        *("info", "running", "exit_code", "start_timestamp_seconds"),
        "last_update_timestamp_seconds",
    }


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_label_may_hold_anything(name: str) -> None:
    told = Told(name, name, "1.0", NOW)
    assert {dict(labels)["output"] for _, labels in _told(NIGHT, told=told)} == {name}


def test_a_price_is_written_in_full() -> None:
    spent = Spent(Decimal("1E+3"), "RUB")
    assert "} 1000\n" in text_of(families(TOLD, Scene(COUNTS, NOW, spent=spent), None, NOW), "")


def test_a_projection_has_no_more_digits_than_prices_have() -> None:
    spent = Spent(Decimal(2), "RUB", likely=Decimal("2.923509233664114724504656806"))
    told = text_of(families(TOLD, Scene(COUNTS, NOW, spent=spent), None, NOW), "")
    assert "} 2.923509\n" in told


def test_every_metric_is_written_down_with_its_labels() -> None:
    rows = table(Path(__file__).parent.parent / "docs" / "watching.md", "## Metrics")
    listed = {
        name.strip("`"): set(labels.replace("`", "").split(", ")) for name, labels, _ in rows
    }
    known = {PREFIX + name: {label for label, _ in labels} for name, labels in _told(NIGHT, 0)}
    assert listed == {name: labels - {"output"} or {""} for name, labels in known.items()}


def test_the_last_word_is_written_however_fast_it_follows(tmp_path: Path) -> None:
    path = tmp_path / "run.prom"
    for code in range(20):
        metrics = Metrics(path, TOLD, Clock())
        metrics.show(NIGHT)
        metrics.end(code)
        assert _of(_read(path.read_text()), "exit_code") == code
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.prom"]


def test_a_reader_never_sees_a_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "run.prom"
    metrics = Metrics(path, TOLD, Clock())
    metrics.show(NIGHT)
    until(path.exists)
    with path.open() as before:
        metrics.end(0)
        assert _of(_read(before.read()), "running") == 1
    assert _of(_read(path.read_text()), "running") == 0


def test_a_file_that_can_t_be_written_is_said_once_and_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "later" / "run.prom"
    metrics = Metrics(path, TOLD, Clock())
    for _ in range(3):
        metrics.show(NIGHT)
        until(lambda: not metrics.is_behind)
    path.parent.mkdir()
    metrics.end(3)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"run.prom can't be written: the folder {path.parent} does not exist; tried" in said
    assert _of(_read(path.read_text()), "exit_code") == 3


def test_a_run_leaves_its_metrics_and_its_end(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    rows = shell.write_rows(5)
    with serving(QUICK) as service:
        call = ["run", rows, "-o", "out.jsonl", *service.options]
        done = shell.call(*call, YAGPT_METRICS_FILE="run.prom")
        assert done.code == 0, done.err
        series = _read(shell.path("run.prom").read_text())
        output = str(shell.path("out.jsonl").resolve())
        assert series["exit_code", (("output", output),)] == 0
        assert series["rows", (("output", output), ("state", "ok"))] == 5
        assert series["submits_total", (("output", output),)] == 5
        tokens = series["tokens_total", (("kind", "input"), ("output", output))]
        assert tokens > 0
        # What an earlier process counted is not forgotten.
        again = shell.call(*call, "--metrics-file", "run.prom")
        assert again.code == 0
        series = _read(shell.path("run.prom").read_text())
        assert series["submits_total", (("output", output),)] == 5
        assert series["tokens_total", (("kind", "input"), ("output", output))] == tokens
        # Neither is a run ended by a folder that is not there.
        nowhere = shell.call(*call, "--metrics-file", "nowhere/run.prom")
    assert nowhere.code == 0
    assert nowhere.err.count("nowhere/run.prom can't be written") == 1


def test_a_run_that_can_t_begin_leaves_no_file_but_says_so_in_one_that_is_watched(
    tmp_path: Path,
) -> None:
    shell = Shell(tmp_path)
    call = ["run", "nothing.jsonl", "-o", "out.jsonl", "--emulator", "--metrics-file", "run.prom"]
    done = shell.call(*call)
    assert (done.code, shell.path("run.prom").exists()) == (65, False)
    shell.path("run.prom").write_text("of the night before")
    done = shell.call(*call)
    series = _read(shell.path("run.prom").read_text())
    assert [value for (name, _), value in series.items() if name == "exit_code"] == [done.code]


@pytest.mark.parametrize(("code", "is_told"), [(Exit.BUSY, False), (Exit.OK, True)])
def test_a_process_that_is_turned_away_says_nothing_of_the_run(
    tmp_path: Path,
    code: Exit,
    is_told: bool,
) -> None:
    path = tmp_path / "run.prom"
    with watched(tmp_path / "out.jsonl", "lite", path, Clock()) as end:
        end.exit_code = code
    assert path.exists() == is_told
