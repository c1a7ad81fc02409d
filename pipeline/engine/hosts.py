"""The hosts that a run talks to, and the credential that it shows them: whether calls get through.

Of every change those hear who wait to call, and those who look at the run from outside.
"""

from collections.abc import Awaitable, Callable

from pipeline.calls.reach import Host, Reach
from pipeline.calls.service import Service
from pipeline.codec import encode
from pipeline.engine.course import Course
from pipeline.input.rows import model_uri
from pipeline.life.facts import OUTAGES, Note
from pipeline.settings import Settings


async def _nothing_to_ask_for() -> None:
    return None


class Hosts:
    """Where POSTs go (`submits`), and where operations are asked for (`polls`).

    `probe_polls` asks for one operation, as `reach.Host` has it; whoever polls gives it.
    """

    def __init__(self, course: Course, service: Service, settings: Settings) -> None:
        self._course = course
        self._service = service
        self._recipe = settings.recipe
        self.probe_polls: Callable[[], Awaitable[bool | None]] = _nothing_to_ask_for
        self.submits = Reach(
            Host("the text generation service", self._probe_submits),
            *(course.clock, settings.patience, self._submits_changed),
        )
        self.polls = Reach(
            Host("the operation service", self._probe_polls, probe_proves=True),
            *(course.clock, settings.patience, self._polls_changed),
        )
        self.keeper = service.keeper
        self.keeper.on_change = self._credential_changed

    def note_outages(self) -> None:
        """Let those who look from outside see what the run waits for, and for how long it will."""
        outages = {
            "submits": self.submits.outage(),
            "polls": self.polls.outage(),
            "credential": self.keeper.absence(),
        }
        for what, outage in outages.items():
            told = None if outage is None else encode(outage).decode()
            self._course.recorder.post(Note(OUTAGES[what], told))

    def _submits_changed(self) -> None:
        self.note_outages()
        self._course.on_change()

    def _polls_changed(self) -> None:
        self.note_outages()
        self._course.poll_bell.ring()
        if self.polls.admits(0):
            self.submits.hurry()

    def _credential_changed(self) -> None:
        self.note_outages()
        self._course.on_change()
        self._course.poll_bell.ring()

    async def _probe_submits(self) -> bool | None:
        if not self.polls.admits(0) and len(self._course.agenda):
            # One probe at a time: the GET that asks for the other host tells of both.
            return False
        model = model_uri(self._recipe.model, self._recipe.folder)
        return await self._service.probe_submits(model)

    async def _probe_polls(self) -> bool | None:
        return await self.probe_polls()
