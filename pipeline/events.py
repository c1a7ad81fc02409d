"""What the log tells of: each event with its name, its sentence and its fields. Pure.

An event stands where `logging` expects a message. What nobody wants to hear is not even put into
words; a log file gets the fields beside the sentence. Names and fields are for programs to rely
on, sentences are not.

The vocabulary of sentences: → sent, ← accepted, ✓ written, ↻ back in line, ? in doubt, ! trouble.
"""

from msgspec import Struct
from msgspec.structs import force_setattr

from pipeline.api.outcomes import Problem
from pipeline.pacing.quota import Lesson
from pipeline.pacing.rates import Kind


class Event(Struct, frozen=True):
    """`words` take the first of the fields, with %; the others are for the log file alone.

    A field that begins with _ is for the sentence alone.
    """

    name: str
    words: str
    fields: tuple[str, ...]
    _all: str = ""

    def __post_init__(self) -> None:
        places = self.words.count("%")
        force_setattr(self, "_all", self.words + "%.0s" * (len(self.fields) - places))

    def __str__(self) -> str:
        """What `logging` puts all fields into: a field without a place takes no room."""
        return self._all


BEGUN = Event("begun", "the run of %s begins", ("output", "model", "version"))
ENDED = Event("ended", "the run of %s ends with %d", ("output", "exit_code"))
SENT = Event("sent", "→ line %d, request %s", ("line", "request_id"))
ACCEPTED = Event("accepted", "← line %d, operation %s", ("line", "operation_id", "seconds"))
WRITTEN = Event("written", "✓ line %d written", ("line", "operation_id", "seconds"))
ANSWERED = Event("answered", "✓ line %d written, with another's answer", ("line",))
FAILED = Event(
    "failed",
    "! line %d failed: %s %s: %s",
    ("line", "stage", "code", "why", "operation_id", "seconds"),
)
AGAIN = Event("again", "↻ line %d: %s", ("line", "why", "code"))
WAITS = Event("waits", "↻ line %d waits %d s: %s", ("line", "delay_seconds", "why", "code"))
DOUBT = Event("doubt", "? line %d is in doubt: %s", ("line", "why", "code", "request_id"))
DUPLICATE = Event(
    "duplicate", "? line %d: operation %s is another row's", ("line", "operation_id")
)
NOT_STORED = Event(
    "not_stored",
    "line %d: operation %s was accepted but could not be stored; its row is in doubt from now on",
    ("line", "operation_id"),
)
LOST = Event("lost", "! line %d: operation %s is lost", ("line", "operation_id", "seconds"))
DENIED = Event(
    "denied",
    "! line %d: the service denies operation %s; asking for 10 minutes more: %s",
    ("line", "operation_id", "why"),
)
THROTTLED = Event("throttled", "! %s", ("_sentence", "calls", "quota", "code", "why"))
AWAY = Event("away", "! %s can't be reached; asking until it is back", ("host",))
BACK = Event("back", "%s is back", ("host",))
CREDENTIAL = Event("credential", "a credential of %s%s", ("source", "_until", "ends_at"))
NO_CREDENTIAL = Event("no_credential", "! %s: %s; asking again", ("source", "why"))
CREDENTIAL_REFUSED = Event("credential_refused", "! %s: %s; asking again", ("source", "why"))
CREDENTIAL_GOOD = Event("credential_good", "the service accepts the credential again", ())


def told(lesson: Lesson, calls: Kind, problem: Problem) -> tuple[str | None, ...]:
    """The fields of THROTTLED: what calls of a kind were refused for, and what that teaches."""
    sentence = lesson.words(calls, problem.message)
    return (sentence, calls, lesson.quota, problem.code, problem.message)


EVENTS = tuple(value for value in globals().values() if isinstance(value, Event))
