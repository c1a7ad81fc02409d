"""An input that grows while its run goes on: the total follows, and files agree at any kill."""

import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.emulator.model import Config, Service
from pipeline.errors import BadData
from pipeline.files.paths import Paths
from pipeline.input.rows import Recipe
from pipeline.network.carrier import Reply
from pipeline.outside.observation import observed
from pipeline.pacing.rates import Rate
from pipeline.results.audit import audit
from pipeline.settings import Settings
from pipeline.state.board import Outcome, Stopped
from pipeline.store.checkpoint import Checkpoint
from pipeline.view.scene import Scene
from tests.oracle import check
from tests.scratch import shipped_prices
from tests.simulation import EVENING, Sending, simulate

RECIPE = Recipe(model="yandexgpt-lite", folder=Config().folder, temperature=0, max_tokens=60)
# Three rows a second: it takes a while from the appending of rows to their turn.
SLOWLY = Settings(RECIPE, rates=(Rate(3, 1.0),), concurrency=2)


@dataclass
class Grown:
    """A run of ten rows, to which five are appended as the fourth is submitted.

    In whoever inherits from it, `strike` does something else to the input before a call.
    """

    folder: Path
    count: int = 10
    packed: bool = False
    appended: int = 5
    when: int = 4
    interval: float = 0.25
    says: list[str] = field(default_factory=list)
    scenes: list[tuple[int | None, int]] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)
    submits: int = 0
    model: Service = field(default_factory=lambda: Service(Config(latency_median=3)))

    @property
    def rows(self) -> Path:
        return self.folder / f"in.jsonl{'.gz' if self.packed else ''}"

    @property
    def output(self) -> Path:
        return self.folder / "out.jsonl"

    def write(self, first: int, count: int) -> None:
        lines = range(first, first + count)
        text = b"".join(b'{"prompt": "row %d"}\n' % line for line in lines)
        with self.rows.open("ab") as file:
            file.write(gzip.compress(text) if self.packed else text)

    def strike(self, sending: Sending) -> None:
        if sending.is_submit and self.submits == self.when:
            self.write(self.count + 1, self.appended)

    async def meet(self, sending: Sending) -> Reply:
        self.submits += sending.is_submit
        self.strike(sending)
        return await sending.onward()

    def copy(self) -> None:
        """Take all files as a kill in this moment would leave them."""
        folder = self.folder.with_name(f"killed-{len(self.copies)}")
        shutil.copytree(self.folder, folder)
        self.copies.append(folder)

    def show(self, scene: Scene) -> None:
        self.scenes.append((scene.counts.total, scene.counts.finished + scene.counts.open))

    def close(self) -> None:
        pass

    def run(
        self,
        settings: Settings = SLOWLY,
        *,
        stop_after: float | None = None,
        disk: float = 0.0,
    ) -> Outcome:
        outcome, _ = simulate(
            *(self.rows, self.output, settings, self.model),
            meet=self.meet,
            view=self,
            say=self.says.append,
            stop_after=stop_after,
            disk=disk,
        )
        return outcome

    @property
    def announced(self) -> list[str]:
        return [said for said in self.says if said.startswith("Rows were appended")]


@pytest.fixture
def begun(tmp_path: Path) -> Callable[..., Grown]:
    def new(**of: object) -> Grown:
        folder = tmp_path / "run"
        folder.mkdir()
        grown = Grown(folder, **of)  # type: ignore[arg-type]
        grown.write(1, grown.count)
        return grown

    return new


@pytest.mark.promise("P6")
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("settings", "count"),
    # With --dedupe rows are read 256 at a time, before their turn.
    [(SLOWLY, 10), (Settings(RECIPE, (Rate(50, 1.0),), dedupe=True), 300)],
)
def test_the_total_follows_and_a_run_that_took_all_rows_is_finished(
    begun: Callable[..., Grown], settings: Settings, count: int, *, packed: bool
) -> None:
    grown, rows = begun(packed=packed, count=count), count + 5
    outcome = grown.run(settings)
    assert (outcome.exit_code, outcome.totals.rows("ok"), outcome.left) == (0, rows, 0)
    assert all(total is not None and done <= total for total, done in grown.scenes)
    assert grown.scenes[-1] == (rows, rows)
    assert outcome.grown is None
    standing = observed(Paths(grown.output), shipped_prices(), EVENING)
    assert (standing.state, standing.grown, standing.expected) == ("finished", None, rows)
    assert sorted(check(grown.rows, grown.output, recipe=RECIPE).results) == [*range(1, rows + 1)]


def test_it_is_known_before_their_turn_and_said_once(begun: Callable[..., Grown]) -> None:
    grown = begun(when=3, appended=40)
    grown.run()
    known = next(done for total, done in grown.scenes if total == 50)
    assert known < 20
    assert grown.announced == [
        f"Rows were appended to {grown.rows}: they are taken up, too, 50 in all."
    ]


def test_rows_that_were_counted_are_no_news_to_whoever_looks(begun: Callable[..., Grown]) -> None:
    grown = begun(when=3, appended=40)
    assert grown.run(stop_after=12.0).grown is None
    standing = observed(Paths(grown.output), shipped_prices(), EVENING + 12)
    assert (standing.state, standing.grown, standing.expected) == ("stopped", None, 50)
    grown.write(51, 1)
    assert observed(Paths(grown.output), shipped_prices(), EVENING + 12).grown == "appended"


@pytest.mark.promise("P6")
@pytest.mark.parametrize("packed", [False, True])
def test_whenever_it_is_killed_audit_agrees(
    begun: Callable[..., Grown], monkeypatch: pytest.MonkeyPatch, *, packed: bool
) -> None:
    # So late that they are met before anybody has looked for them.
    grown, record = begun(packed=packed, when=9, appended=3), Checkpoint.record

    def recorded(checkpoint: Checkpoint, *given: Any) -> set[int]:
        repeated = record(checkpoint, *given)
        grown.copy()
        return repeated

    monkeypatch.setattr(Checkpoint, "record", recorded)
    # A disk that takes its time lets nothing be written together by chance.
    assert grown.run(disk=0.02).totals.rows("ok") == 13
    assert len(grown.copies) > 20
    for folder in grown.copies:
        paths = Paths(folder / grown.output.name)
        found = audit(paths, shipped_prices(), given_input=folder / grown.rows.name)
        assert found.findings == [], folder


def test_a_limit_holds_beside_rows_that_are_appended(begun: Callable[..., Grown]) -> None:
    grown = begun()
    outcome = grown.run(Settings(RECIPE, SLOWLY.rates, limit=8))
    assert (outcome.limited, outcome.totals.rows("ok")) == (8, 8)
    assert {total for total, _ in grown.scenes} == {8}
    assert grown.announced == []


def test_rows_that_come_behind_the_last_look_are_left_to_the_next_call(
    begun: Callable[..., Grown],
) -> None:
    class Late(Grown):
        def strike(self, sending: Sending) -> None:
            if self.submits == self.count and sending.is_poll and self.when:
                self.when = 0
                self.write(11, 5)

    late = Late(begun().folder)
    outcome = late.run()
    assert (outcome.totals.rows("ok"), outcome.grown) == (10, "appended")
    assert late.scenes[-1] == (10, 10)
    assert observed(Paths(late.output), shipped_prices(), EVENING).grown == "appended"
    assert late.run().totals.rows("ok") == 15


@dataclass
class Mended(Grown):
    """The same, and as the sixth row is submitted an editor puts the second in other words."""

    words: bytes = b"row Z"

    def strike(self, sending: Sending) -> None:
        super().strike(sending)
        if sending.is_submit and self.submits == 6:
            mended = self.rows.with_name("mended")
            mended.write_bytes(self.rows.read_bytes().replace(b"row 2", self.words))
            mended.rename(self.rows)


@dataclass
class Overwritten(Mended):
    """The same, by an editor that writes into the very file."""

    def strike(self, sending: Sending) -> None:
        if sending.is_submit and self.submits == 6:
            self.rows.write_bytes(self.rows.read_bytes().replace(b"row 2", self.words))


@pytest.mark.promise("P6")
def test_lines_that_were_moved_meanwhile_are_not_read_from_their_middle(
    begun: Callable[..., Grown],
) -> None:
    moved = Overwritten(begun().folder, words=b"another row 2")
    outcome = moved.run()
    assert isinstance(outcome.end, BadData)
    assert "was changed while the run went on: its lines have other" in str(outcome.end)
    assert (outcome.exit_code, outcome.grown) == (65, "changed")
    assert moved.announced == []
    assert moved.scenes[-1][0] == 10
    moved.rows.write_bytes(moved.rows.read_bytes().replace(moved.words, b"row 2"))
    assert moved.run().totals.rows("ok") == 10
    check(moved.rows, moved.output)


@pytest.mark.promise("P6")
def test_a_line_that_was_changed_meanwhile_is_still_found_by_the_next_start(
    begun: Callable[..., Grown],
) -> None:
    mended = Mended(begun().folder)
    assert mended.run().totals.rows("ok") == 15
    with pytest.raises(BadData, match=r"in\.jsonl:2: the line is not what it was"):
        mended.run()


def test_one_that_is_stopped_tells_that_its_input_has_changed(begun: Callable[..., Grown]) -> None:
    mended = Mended(begun().folder, when=0, words=b"another row 2")
    outcome = mended.run(stop_after=4.0)
    assert (type(outcome.end), outcome.grown) == (Stopped, "changed")
    assert observed(Paths(mended.output), shipped_prices(), EVENING).grown == "changed"
