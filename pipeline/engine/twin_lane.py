"""The lane of rows that wait for another's answer: they are found, and answered once it has one.

    rows read ──begun together──▶ to be sent, or twins of one that is
    one that was sent is over ──▶ its line, for every twin │ it failed: its first twin is sent

Who waits for whom, the checkpoint knows alone: memory holds no more than some twins' ends. A twin
costs no place in a quota, and no coroutine.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.bell import Bell
from pipeline.codec import decode
from pipeline.engine.course import Course
from pipeline.files.output import Lines
from pipeline.input.rows import Row
from pipeline.input.sameness import Answer, Choose, Group, digest_of, due
from pipeline.life.entry import Entry
from pipeline.life.facts import Ask, End, Fact, Instead, Move
from pipeline.life.item import Chosen, State, Twin, Waiting, after
from pipeline.life.records import Same
from pipeline.store.checkpoint import Checkpoint

_GROUPS_TOGETHER = 32
_TWINS_TOGETHER = 256
# Of lines written together for one group, in bytes.
_MOST_TOGETHER = 1 << 20


@dataclass(slots=True)
class TwinLane:
    """Sends the same request once, and answers all rows that make it."""

    course: Course
    checkpoint: Checkpoint
    output: Lines
    _over: list[int] = field(default_factory=list)
    _groups: dict[int, None] = field(default_factory=dict)
    _bell: Bell = field(default_factory=Bell)

    def attach(self) -> None:
        """Have every row pass by here, before it is sent and when it is over."""
        self.course.is_answering = True
        self.course.intake.screen_by(self.screened)
        self.course.on_end = self.ended

    async def screened(self, entries: Sequence[Entry]) -> list[Entry]:
        """Begin rows, and leave those that are to be sent or written off."""
        facts = [fact for entry in entries for fact in self._facts(entry)]
        if facts:
            await self.course.recorder.record(*facts)
        lines = [entry.row.line for entry in entries]
        states = await self.course.recorder.see(self.checkpoint.states, lines)
        twins = [line for line in lines if isinstance(states[line], Twin)]
        if twins:
            self.course.counts.twins += len(twins)
            self._look_at(
                await self.course.recorder.see(self.checkpoint.twins.groups_of_twins, twins)
            )
        return [
            replace(entry, state=states[entry.row.line], cursor=None)
            for entry in entries
            if not isinstance(states[entry.row.line], Twin)
        ]

    def _facts(self, entry: Entry) -> Iterable[Fact]:
        """A row begun, if it was not before, and what it asks."""
        begin = entry.begin(entry.state)
        if begin is not None:
            yield from self.course.begin(begin)
        if isinstance(entry.row, Row) and isinstance(entry.state, Waiting):
            digest = digest_of(entry.row.body)
            if digest is not None:
                yield Ask(entry.row.line, digest)

    def ended(self, line: int) -> None:
        """A row that was sent has its line: others may wait for it."""
        self._over.append(line)
        self._wake()

    def _look_at(self, groups: Iterable[int]) -> None:
        self._groups.update(dict.fromkeys(groups))
        self._wake()

    def _wake(self) -> None:
        self.course.is_answering = True
        self._bell.ring()

    async def lane(self) -> None:
        """Settle one group after another, for ever."""
        see = self.course.recorder.see
        self._look_at(await see(lambda _: self.checkpoint.twins.groups_left(), None))
        while True:
            await self._bell.wait()
            over, self._over = self._over, []
            found = await see(self.checkpoint.twins.groups_of_senders, over)
            groups, self._groups = list({**self._groups, **dict.fromkeys(found)}), {}
            for start in range(0, len(groups), _GROUPS_TOGETHER):
                await self._settle(groups[start : start + _GROUPS_TOGETHER])
            if not self._over and not self._groups:
                self.course.is_answering = False
                self.course.on_change()

    async def _settle(self, groups: Sequence[int]) -> None:
        """Do for the twins of groups what is due, until they wait or there are no more."""
        while groups:
            seen = await self.course.recorder.see(self._seen, groups)
            ends, chosen, groups = list[End](), dict[int, int](), list[int]()
            for group, line in seen:
                match due(group):
                    case None:
                        pass
                    case Choose(twin):
                        chosen[twin] = group.number
                    case Answer(sender, twins):
                        ends += _answered(sender, line, twins)
                        groups.append(group.number)
            if chosen:
                await self._send(chosen)
            if ends:
                await self.course.finish_twins(ends)

    def _seen(self, numbers: Sequence[int]) -> list[tuple[Group, bytes]]:
        """Groups, each with its sender's line where that is an answer. Blocks."""
        groups = (self.checkpoint.twins.group(number, _TWINS_TOGETHER) for number in numbers)
        return [(group, self._line_for(group)) for group in groups if group is not None]

    def _line_for(self, group: Group) -> bytes:
        answer = due(group)
        place = self.checkpoint.place(answer.sender) if isinstance(answer, Answer) else None
        return b"" if place is None else self.output.line_at(place)

    async def _send(self, chosen: Mapping[int, int]) -> None:
        """Send twins in the place of the rows that their groups waited for; group by twin."""
        states = await self.course.recorder.see(self.checkpoint.states, list(chosen))
        facts, waiting = list[Fact](), dict[int, State]()
        for twin, group in chosen.items():
            state = states[twin]
            assert isinstance(state, Twin)  # noqa: S101 - the group says so
            waiting[twin] = after(state, Chosen())
            facts += [Move(twin, waiting[twin]), Instead(twin, group)]
        await self.course.recorder.record(*facts)
        self.course.counts.twins -= len(waiting)
        for twin, state in waiting.items():
            self.course.intake.again(twin, state, first=True)


def _answered(sender: int, line: bytes, twins: Sequence[int]) -> list[End]:
    """The ends of twins, no more than lines may be written together."""
    result = decode(line)
    assert isinstance(result, dict)  # noqa: S101 - it is a line of ours
    same, most = Same(sender, result), max(_MOST_TOGETHER // len(line), 1)
    return [End(twin, same) for twin in twins[:most]]
