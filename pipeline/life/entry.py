"""A row whose turn it is, as it came out of the input."""

from dataclasses import dataclass

from pipeline.input.messages import shown
from pipeline.input.rows import BadRow, Row
from pipeline.life.facts import Begin, Cursor, End, Span
from pipeline.life.item import State
from pipeline.life.records import Failure


@dataclass(frozen=True, slots=True)
class Entry:
    """A row to be submitted, or written off.

    `state` is None for one that was begun and found not fit; `cursor` for one begun before.
    """

    row: Row | BadRow
    span: Span
    state: State | None
    cursor: Cursor | None = None

    def begin(self, state: State | None) -> Begin | None:
        """The fact that the row is begun, if it was not before; in no state if it is not fit."""
        if self.cursor is None:
            return None
        row = self.row
        own_id = row.id if row.own_id else None
        if isinstance(row, BadRow):
            return Begin(row.line, self.span, self.cursor, own_id, None, None, 0, None, None)
        return Begin(
            line=row.line,
            span=self.span,
            cursor=self.cursor,
            own_id=own_id,
            model=row.model if row.own_model else None,
            kept=row.kept,
            input_bound=row.input_bound,
            output_bound=row.output_bound,
            state=state,
        )

    def unfit_end(self) -> End:
        """The end of a row that is not fit. One that can be read repeats an id."""
        row = self.row if isinstance(self.row, BadRow) else repeated(self.row)
        shown_id = row.id if row.own_id or row.code == REPEATED else None
        return End(row.line, Failure("input", row.code, row.message), shown_id=shown_id)


REPEATED = "repeated_id"


def repeated(row: Row) -> BadRow:
    """A row whose id is an earlier row's, as one that is not fit."""
    message = f"The id {shown(row.id)} is that of an earlier row: every row needs its own"
    return BadRow(row.line, row.id, row.own_id, REPEATED, message)
