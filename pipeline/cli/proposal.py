"""What a retry would send, told before it does, and whether it sends anything at all. Pure."""

from collections.abc import Container, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import asdict

from pipeline.cli.meant import meant
from pipeline.codec import Json
from pipeline.store.retrial import Choice, Failed, alike, told
from pipeline.wording import so_many

_NOTHING = "Nothing to retry: "
_GO_ON = (
    "The run itself is not finished: "
    "`run`, or `retry` without --stage and --code, goes on with it."
)


class Proposal(Struct, frozen=True):
    """All rows of a run that have an error line, those of them that are meant, and the others.

    `pending` rows were begun and have no line; `not_begun` ones were expected, and never sent.
    `unfit` are rows that would fail at once again, since their lines in the input still are wrong.
    `dedupe`: some may get the answer of another, and are not sent.
    """

    choice: Choice
    failed: Mapping[int, Failed]
    pending: int
    not_begun: int
    unfit: Container[int] = ()
    dedupe: bool = False

    @property
    def chosen(self) -> dict[int, Failed]:
        return self.choice.of(self.failed)

    @property
    def sent(self) -> dict[int, Failed]:
        """Those of the chosen ones that would be sent."""
        return {line: one for line, one in self.chosen.items() if line not in self.unfit}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be sent: whoever names rows means no others instead of them."""
        return not self.chosen and (self.choice.names_any or not (self.pending or self.not_begun))

    def to_json(self) -> Json:
        """The object of `retry --dry-run --json`: what would be sent."""
        sent, goes_on = self.sent, not self.is_empty
        return {
            "rows": len(sent),
            "failures": [asdict(one) for one in alike(sent.values())],
            "unfit": len(self.chosen) - len(sent),
            "pending": self.pending if goes_on else 0,
            "not_begun": self.not_begun if goes_on else 0,
        }

    def sentences(self) -> Iterator[str]:
        """What would be sent, with nothing sent."""
        if self.is_empty:
            yield self.refusal()
            return
        chosen, sent = self.chosen, self.sent
        yield from told(chosen.values())
        yield f"A retry would send {so_many(len(sent), 'row')} again; nothing was sent."
        if self.dedupe and sent:
            yield ("Or fewer: by --dedupe a row that asks the same as another gets its answer.")
        if unfit := len(chosen) - len(sent):
            yield (
                f"Not sent, for no cost: {so_many(unfit, 'row')} whose line in the input is not "
                "mended, and would fail again."
            )
        others = []
        if self.pending:
            others.append(f"go on with {so_many(self.pending, 'row')} not finished")
        if self.not_begun:
            others.append(f"send {so_many(self.not_begun, 'row')} for the first time")
        if others:
            yield f"It would also {', and '.join(others)}."

    def refusal(self) -> str:
        """Why nothing is sent; for people who named rows, with what they may have meant."""
        goes_on = f" {_GO_ON}" if self.pending or self.not_begun else ""
        if not self.failed:
            return f"{_NOTHING}no row has failed or is held in doubt.{goes_on}"
        there_are = "; ".join(told(self.failed.values()))
        return (
            f"{_NOTHING}no row that was chosen has failed or is held in doubt. "
            f"There are: {there_are}{self._meant()}{goes_on}"
        )

    def _meant(self) -> str:
        known = sorted({one.code for one in self.failed.values()})
        questions = (meant(code, known) for code in sorted(self.choice.codes - {*known}))
        return next((question for question in questions if question != "."), ".")
