r"""The manual page, made of the program's own help: ``python -m pipeline.cli.manual`` prints it.

One page for all commands. Every command has its text and its options; those that are just as of
`run` are named and not told again. What groff would take for its own (``\``, ``-``, quotes, a dot
that begins a line) is escaped, and so is all that is not ASCII.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from itertools import chain

import click

from pipeline import __version__
from pipeline.cli import commands
from pipeline.errors import Exit, RunError

_PROGRAM = "yagpt-batch"
_FIRST = "run"
# Without these groff sets typographic signs, which nobody can copy.
_ESCAPES = {
    "\\": r"\e",
    "-": r"\-",
    "'": r"\(aq",
    '"': r"\(dq",
    "`": r"\(ga",
    "^": r"\(ha",
    "~": r"\(ti",
}
_LONG = re.compile(r"--[a-z-]+")
_VERBATIM = "\b\n"
_ENDS: dict[int, str] = {
    Exit.OK: "All rows are ok.",
    Exit.UNEXPECTED: "A bug; nothing on disk is lost.",
    Exit.USAGE: "Bad usage.",
    Exit.SOME_FAILED: "Finished; some rows failed.",
    Exit.SOME_HELD: "Finished; some rows are held in doubt.",
}
_ENVIRONMENT = """\
Each option's own variable stands beside it. A flag beats it, and it beats a key of
yagpt-batch.toml. The variables that credentials come from stand above, with run.
"""
_FILES = {
    "yagpt-batch.toml": "Settings, where it is called: a key is the long name of an option.",
    "OUTPUT": "A line for each row that is answered; at the end of a complete run the totals.",
    "OUTPUT's name with .errors.jsonl": "A line for each row that failed for good.",
    "OUTPUT.checkpoint": "What the run must not forget; without it nothing resumes.",
    "~/.local/state/yagpt-batch": "Through files there runs share a folder's quota.",
}


def page() -> str:
    """The whole page, as groff's man macros have it."""
    root = click.Context(commands, info_name=_PROGRAM)
    summary = (commands.help or "").partition("\n")[0]
    parts = [
        [f'.TH {_escaped(_PROGRAM.upper())} 1 "" {_quoted(f"{_PROGRAM} {__version__}")}'],
        # Neither hyphens nor gaps that are not in the text.
        [".nh", ".ad l"],
        [".SH NAME", rf"{_escaped(_PROGRAM)} \- {_escaped(summary.rstrip('.'))}"],
        [".SH SYNOPSIS", rf"\fB{_escaped(_PROGRAM)}\fR \fICOMMAND\fR \fR[\fIOPTIONS\fR]"],
        [".SH DESCRIPTION", *_text(commands.help or "")],
        [".SH COMMANDS", *chain.from_iterable(_command(one, root) for one in _served())],
        [".SH EXIT STATUS", *_listed((str(int(code)), what) for code, what in _ends().items())],
        [".SH ENVIRONMENT", *_text(_ENVIRONMENT)],
        [".SH FILES", *_listed(_FILES.items())],
    ]
    return "\n".join(chain.from_iterable(parts)) + "\n"


def _served() -> list[click.Command]:
    return commands.all_served()


def _command(command: click.Command, root: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=command.name, parent=root)
    usage = " ".join([_PROGRAM, command.name or "", *command.collect_usage_pieces(context)])
    yield f".SS {_quoted(usage)}"
    yield from _text(command.help or "")
    known = {} if command.name == _FIRST else dict(_options(context, _served()[0]))
    own = dict(_options(context, command))
    yield from _listed((told, what) for told, what in own.items() if known.get(told) != what)
    same = [_LONG.findall(told)[-1] for told, what in own.items() if known.get(told) == what]
    if same:
        yield from (".PP", _line(f"As of {_FIRST}: {', '.join(same)}."))


def _options(context: click.Context, command: click.Command) -> Iterator[tuple[str, str]]:
    """Names and metavar, and the help, of each option."""
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option):
            yield record


def _ends() -> dict[int, str]:
    """What each exit code means, of those that end a run in their own words."""
    kinds = {int(kind.exit_code): _first_line(kind.__doc__) for kind in RunError.__subclasses__()}
    signals = {130: "Stopped by Ctrl-C.", 143: "Stopped by TERM.", 129: "Stopped by HUP."}
    return {**_ENDS, **dict(sorted(kinds.items())), **signals}


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]


# The form.


def _text(text: str) -> Iterator[str]:
    """Paragraphs of a help text; those that click is not to wrap stand as they are."""
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if paragraph.startswith(_VERBATIM):
            lines = paragraph.removeprefix(_VERBATIM).split("\n")
            yield from (".PP", ".EX", *map(_line, lines), ".EE")
        else:
            yield from ([".PP"] if number else [])
            yield from map(_line, paragraph.split("\n"))


def _listed(records: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, what in records:
        yield from (".TP", _term(term), _line(what))


def _term(term: str) -> str:
    """What stands for itself is bold; a metavar is italic."""
    shown = (
        rf"\fI{_escaped(word)}\fR"
        if word.removesuffix("'s").isupper() or word.startswith("[")
        else rf"\fB{_escaped(word)}\fR"
        for word in term.split()
    )
    return " ".join(shown)


def _line(text: str) -> str:
    """A line of text, never a request to groff."""
    escaped = _escaped(text.rstrip())
    return rf"\&{escaped}" if escaped.startswith((".", r"\(aq")) else escaped


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(c, c if c.isascii() else rf"\[u{ord(c):04X}]") for c in text)


if __name__ == "__main__":
    sys.stdout.write(page())
