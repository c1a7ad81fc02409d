"""What the first rows of an input have, where none of them is fit to be sent. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.input.messages import Fields, shown
from pipeline.input.rows import BadRow, Row, fields_of
from pipeline.input.shapes import FIELDS_LISTED, IDS, PROMPTS
from pipeline.input.template import Slot, Template

MOST = 10_000
_READ = 100


@dataclass(slots=True)
class Glance:
    """The first rows of an input, while none of them is fit.

    `fields` are the names that the first of them have; `longest` has the longest text of a row.
    """

    rows: int = 0
    is_over: bool = False
    fields: list[str] = field(default_factory=list)
    longest: str | None = None

    def take(self, row: Row | BadRow, data: bytes) -> None:
        """Look at one row, whose line is `data`; after the first that is fit at none."""
        if self.is_over:
            return
        self.rows += 1
        self.is_over = isinstance(row, Row) or self.rows == MOST
        if isinstance(row, Row):
            self.rows = 0
        elif self.rows <= _READ:
            self._note(fields_of(data))

    def _note(self, fields: Fields) -> None:
        new = (name for name in fields if name not in self.fields)
        self.fields += list(new)[: FIELDS_LISTED - len(self.fields)]
        if self.longest is None:
            texts = {name: len(text) for name, text in fields.items() if isinstance(text, str)}
            able = [name for name in texts if name not in IDS and _is_plain(name)]
            self.longest = max(able, key=texts.__getitem__, default=None)

    def sentence(self, name: str, template: Template | None) -> str | None:
        """What was found and what is expected; None where a row is fit, or there is one only."""
        if self.rows < 2:
            return None
        return f"{name}: none of the {self.rows:,} rows looked at can be sent{self._why(template)}"

    def _why(self, template: Template | None) -> str:
        taken = PROMPTS if template is None else _fields_of(template)
        if not self.fields:
            return ': a row is a JSON object on one line, such as {"prompt": "…"}.'
        has = [name for name in taken if name in self.fields]
        if has if template is None else len(has) == len(taken):
            return f", though they have {_listed(has, 'and')}: see what is wrong with them."
        found = f": they have {_listed(self.fields, 'and')}, where"
        if template is not None:
            return f"{found} --template takes {_listed(taken, 'and')}."
        such = f", such as --template '{{{self.longest}}}'" if self.longest else ""
        return f"{found} the prompt is {_listed(taken, 'or')}, or made by --template{such}."


def _fields_of(template: Template) -> list[str]:
    slots = [part.field for part in template.parts if isinstance(part, Slot)]
    return list(dict.fromkeys(slots))


def _is_plain(name: str) -> bool:
    try:
        Template.parse(f"{{{name}}}")
    except ValueError:
        return False
    return True


def _listed(names: Iterable[str], last: str) -> str:
    *others, end = map(shown, names)
    return f"{', '.join(others)} {last} {end}" if others else end
