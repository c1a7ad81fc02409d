"""All operations that wait to be asked for, and which of them is next.

Operations last heard of at about the same age wait in one queue, the oldest in front; the
`Timetable` knows for each queue at which age its operations are asked for. So what is learned
moves thousands of operations at once, and costs nothing for any of them. Where more are due than
can be asked for, the one goes first that is most likely to be over; before it come those that
expire soon, and those with a time of their own.
"""

import heapq
import math
from dataclasses import dataclass, field
from operator import itemgetter

from msgspec import Struct

from pipeline import codec
from pipeline.api import outcomes
from pipeline.api.outcomes import PollOutcome
from pipeline.operations.latency import BINS, EDGES, Latency, position
from pipeline.operations.polling import RETENTION, Asking, told_seconds
from pipeline.operations.sieve import Sieve
from pipeline.operations.timetable import LATEST, Timetable, latest

_MOST_MODELS = 16
# Of the age at which an operation expires: from there on each has a time of its own.
_EXPIRY_BEGINS = RETENTION / 2
# Ages are differences of seconds since 1970; this is in bins.
_ROUNDING = 1e-3
# By the average age so many operations are over, as lognormal latencies have it.
_ON_AVERAGE = 0.6
_Queue = list[tuple[float, int, Asking]]


class Flight(Struct, frozen=True):
    """So many operations of about `age` seconds, last heard of at age `since`; 0 if never."""

    latency: Latency
    since: float
    age: float
    count: float


@dataclass(slots=True)
class _Share:
    """The operations of one model: queues by the bin in which they were last heard of."""

    latency: Latency
    timetable: Timetable
    queues: dict[int, _Queue] = field(default_factory=dict)


_Front = tuple[float, _Queue, int, _Share]
"""When the front of a queue is due, the queue, the bin in which it was last heard of, whose."""


class Agenda:
    """Knows when to ask for which operation. `are_last`: nobody else needs the quota for polls.

    `known` counts the operations that it has learned from.
    """

    def __init__(self) -> None:
        self.are_last = False
        self.known = 0
        self._count = 0
        self._shares: dict[str | None, _Share] = {}
        self._later: _Queue = []
        self._due: _Queue = []
        # By line those that wait and were denied when they were last asked for.
        self._denied: dict[int, Asking] = {}
        self._found: list[_Front] | None = None
        self._found_for = False
        self._sieve = Sieve()
        # When the oldest of `_later` was accepted; None while it is to be found anew.
        self._oldest_later: float | None = math.inf

    def __len__(self) -> int:
        return self._count

    def put(self, asking: Asking, at: float | None) -> None:
        """Ask at `at`; None: when it is likely enough to be over."""
        self._count += 1
        born, line = asking.born_at, asking.line
        if at is None and asking.heard_age >= _EXPIRY_BEGINS and not self.are_last:
            at = born + latest(asking.heard_age)
        if asking.denied_at is not None:
            self._denied[line] = asking
        if at is not None:
            heapq.heappush(self._later, (at, line, asking))
            if self._oldest_later is not None:
                self._oldest_later = min(self._oldest_later, born)
            return
        self._found = None
        queues = self._share(asking.model).queues
        heapq.heappush(queues.setdefault(_bin(asking), []), (born, line, asking))

    def oldest(self) -> float | None:
        """When the oldest of all that wait was accepted; None if none waits."""
        if self._oldest_later is None:
            born = (asking.born_at for _, _, asking in self._later)
            self._oldest_later = min(born, default=math.inf)
        queues = [queue for share in self._shares.values() for queue in share.queues.values()]
        fronts = (queue[0][0] for queue in (*queues, self._due) if queue)
        oldest = min(self._oldest_later, min(fronts, default=math.inf))
        return None if oldest == math.inf else oldest

    def _heed_gone(self, asking: Asking) -> None:
        """One has left `_later`; it may have been its oldest."""
        if self._oldest_later is not None and asking.born_at <= self._oldest_later:
            self._oldest_later = None

    def denied(self) -> list[Asking]:
        """Those that wait and were denied when they were last asked for."""
        return list(self._denied.values())

    def flights(self, now: float, at_most: int) -> list[Flight]:
        """All that wait and are not denied, told by a sample of about so many of them.

        It is spread over all queues; of one that is denied no age tells when it is over.
        """
        queues = [queue for share in self._shares.values() for queue in share.queues.values()]
        step = max(self._count // at_most, 1)
        return [
            self._flight(asking, now, len(queue) / len(range(0, len(queue), step)))
            for queue in (*queues, self._later, self._due)
            for _, _, asking in queue[::step]
            if asking.denied_at is None
        ]

    def _flight(self, asking: Asking, now: float, count: float) -> Flight:
        latency = self._share(asking.model).latency
        return Flight(latency, asking.heard_age, max(now - asking.born_at, 0.0), count)

    def latencies(self) -> list[tuple[float, Latency]]:
        """What is known of each model, with the share of all known operations that it has."""
        known = [share.latency for share in self._shares.values() if share.latency.known]
        return [(latency.known / sum(one.known for one in known), latency) for latency in known]

    def average(self) -> float | None:
        """About how many seconds operations take on average; None while none is over."""
        known = self.latencies()
        takes = (share * latency.age_of(0.0, _ON_AVERAGE) for share, latency in known)
        return sum(takes) if known else None

    def due_at(self, now: float) -> float | None:
        """When something is due: now, later, or never."""
        self._move_due(now)
        if self._due:
            return now
        times = [at for at, _, _, _ in self._fronts()]
        if self._later:
            times.append(self._later[0][0])
        return max(min(times), now) if times else None

    def pop(self, now: float) -> Asking:
        """Of the operations that are due, the one to ask for.

        Raises:
            LookupError: none is.

        """
        queue = self._choice(now)
        if queue is None:
            raise LookupError("no operation is due")
        return self._pop(queue)

    def take(self, now: float) -> Asking | None:
        """The operation to try a host with that seems away; None if none waits.

        Those whose last question had no good answer come last: it may be their own fault.
        """
        self._move_due(now)
        fronts = self._fronts()
        queue = min(fronts, key=itemgetter(0))[1] if fronts else self._due or self._later
        return self._pop(queue) if queue else None

    def _move_due(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, line, asking = heapq.heappop(self._later)
            self._heed_gone(asking)
            heapq.heappush(self._due, (asking.born_at, line, asking))

    def _choice(self, now: float) -> _Queue | None:
        """What expires soon, what has a time of its own, then what is likeliest to be over."""
        self._move_due(now)
        oldest = self._due[0][0] if self._due else math.inf
        first = self._due or None
        likeliest, most = None, -1.0
        for at, queue, heard_in, share in self._fronts():
            if at > now:
                continue
            born = queue[0][0]
            if now - born >= LATEST[heard_in] and born < oldest:
                oldest, first = born, queue
            elif (hazard := share.latency.hazard(EDGES[heard_in], now - born)) > most:
                likeliest, most = queue, hazard
        return first or likeliest

    def _fronts(self) -> list[_Front]:
        """The fronts of all queues, found once for each time that anything changed."""
        if self._found is None or self._found_for != self.are_last:
            self._found_for = self.are_last
            self._found = [front for share in self._shares.values() for front in self._of(share)]
        return self._found

    def _of(self, share: _Share) -> list[_Front]:
        queues = share.queues.items()
        if self.are_last:
            gaps = share.timetable.gaps()
            return [(_soon(queue[0][2], gaps[n]), queue, n, share) for n, queue in queues]
        ages = share.timetable.ages()
        return [(queue[0][0] + ages[n], queue, n, share) for n, queue in queues]

    def _pop(self, queue: _Queue) -> Asking:
        _, _, asking = heapq.heappop(queue)
        self._found = None
        self._count -= 1
        self._denied.pop(asking.line, None)
        if queue is self._later:
            self._heed_gone(asking)
        if not queue and queue is not self._due and queue is not self._later:
            del self._share(asking.model).queues[_bin(asking)]
        return asking

    def _share(self, model: str | None) -> _Share:
        """What is kept for a model; a run of very many models knows the first ones apart."""
        if model not in self._shares and len(self._shares) >= _MOST_MODELS:
            model = None
        if model not in self._shares:
            self._begin(model, Latency())
        return self._shares[model]

    def _begin(self, model: str | None, latency: Latency) -> None:
        self._shares[model] = _Share(latency, Timetable(latency))

    # What answers teach.

    def hear(self, asking: Asking, outcome: PollOutcome, now: float) -> None:
        """Learn from an answer how long operations take."""
        if not self._sieve.passes(asking.line, now):
            return
        since, age = asking.heard_age, now - asking.accepted_at
        if age <= 0:
            # Our clock has been set back since: this age tells nothing.
            return
        latency = self._share(asking.model).latency
        self._found = None
        match outcome:
            case outcomes.StillRunning():
                latency.still_ran(since, age)
            case outcomes.Answer():
                latency.ended(since, age, told_seconds(outcome))
                self.known += 1
            case outcomes.Failed():
                latency.ended(since, age)
                self.known += 1
            case _:
                pass

    def learned(self) -> str:
        """All that was learned, as JSON: 2 kB for each model."""
        entries = [
            {"model": model, **share.latency.state()} for model, share in self._shares.items()
        ]
        return codec.encode(entries).decode()

    def recall(self, text: str | None) -> None:
        """Begin with what another process learned; whatever else the text is, it does no harm."""
        try:
            entries = codec.decode((text or "[]").encode())
        except codec.NotJson:
            return
        for entry in entries if isinstance(entries, list) else []:
            model = entry.get("model") if isinstance(entry, dict) else 0
            if isinstance(model, str | None) and len(self._shares) < _MOST_MODELS:
                self._begin(model, Latency.of(entry))


def _soon(asking: Asking, gap: float) -> float:
    """When to ask for one of the last operations, so long after it was heard of."""
    heard = asking.heard_age
    return asking.born_at + min(heard + gap, latest(heard))


def _bin(asking: Asking) -> int:
    """The queue of those last heard of at about this age; 0 of those never heard of."""
    if asking.heard_at is None:
        return 0
    return min(max(int(position(asking.heard_age) + _ROUNDING), 1), BINS - 1)
