"""README.md leaves nothing out and promises nothing that is not there; README.ru.md likewise."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from pipeline import errors
from pipeline.auth.credentials import SOURCES
from pipeline.cli import commands, config
from pipeline.cli.variables import known
from pipeline.emulator import schedules
from pipeline.errors import Exit
from pipeline.files.paths import Paths
from tests.readme import (
    README,
    ROOT,
    RUSSIAN,
    commands_in,
    options_in,
    quoted,
    rows,
    section,
)

_BOTH = pytest.mark.parametrize("text", [README, RUSSIAN], ids=["English", "Russian"])
_SERVED = {str(command.name): command for command in commands.all_served()}
_SOURCES = sorted(ROOT.glob("pipeline/**/*.py"))
# Of docs/: what people read who use the program.
_PAGES = [f"docs/{name}.md" for name in ("emulator", "prices", "quotas", "summary", "watching")]
_SIGNALS = {129, 130, 143}
_HOLE = "\0"


def _options(command: click.Command) -> set[str]:
    return {
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    }


def _groups() -> dict[str, set[str]]:
    """The options of each group: it is named in its first row only."""
    found: dict[str, set[str]] = {}
    group = ""
    for cells in rows(section("Commands and options")):
        if len(cells) == 4:
            group = cells[0] or group
            found.setdefault(group, set()).update(options_in(cells[1]))
    return found


def _listed() -> dict[str, set[str]]:
    """Every command of the table with the options that it is said to have."""
    groups, found = _groups(), {}
    for cells in rows(section("Commands and options")):
        if len(cells) == 3:
            named = filter(None, cells[2].split(", "))
            own = cells[1].replace(" · ", " ")
            found[quoted(cells[0])[0].split()[0]] = options_in(own).union(
                *(groups[name] for name in named)
            )
    return found


def test_every_command_is_listed_in_the_order_of_the_help() -> None:
    assert list(_listed()) == list(commands.commands)


@pytest.mark.parametrize("name", sorted(set(_SERVED) - {"emulator"}))
def test_a_command_is_listed_with_exactly_the_options_that_it_has(name: str) -> None:
    spoken_of_elsewhere = {"--limit"} if name == "render" else set()
    assert _listed()[name] - spoken_of_elsewhere == _options(_SERVED[name]) - spoken_of_elsewhere


def test_a_default_is_told_as_it_is() -> None:
    shown = {
        name: cells[2].strip("`")
        for cells in rows(section("Commands and options"))
        if len(cells) == 4
        for name in options_in(cells[1])
    }
    defaults = {
        name: str(parameter.default)
        for parameter in _SERVED["run"].params
        if isinstance(parameter, click.Option) and parameter.show_default
        for name in parameter.opts
    }
    assert {"--model", "--concurrency", "--patience", "--on-lost"} <= defaults.keys()
    assert defaults.items() <= shown.items()


def test_the_emulator_is_shown_with_exactly_the_options_that_it_has() -> None:
    told = section("The emulator").rpartition("```")[2]
    assert options_in(told) == _options(_SERVED["emulator"])


@pytest.mark.parametrize("name", ["README.md", "README.ru.md", *_PAGES])
def test_every_option_that_is_named_exists(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    everywhere = set[str]().union(*map(_options, _SERVED.values()))
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert named - everywhere - {"--version", "--help"} == set()


@pytest.mark.parametrize(
    ("text", "title"), [(README, "Exit codes"), (RUSSIAN, "Коды выхода")], ids=["en", "ru"]
)
def test_the_exit_codes_are_those_that_there_are(text: str, title: str) -> None:
    told = {int(code) for cells in rows(section(title, text)) for code in cells[0].split(",")}
    assert told == set(map(int, Exit)) | _SIGNALS


def test_every_variable_that_is_no_option_s_is_named() -> None:
    by_rule = {
        variable
        for command in _SERVED.values()
        for parameter in command.params
        for variable in _variables(parameter)
    }
    others = set(known(click.Context(commands))) - by_rule
    # A credential's YAGPT_ name is told by a rule.
    sources = {"YAGPT_" + source.upper().replace("-", "_") for source in SOURCES}
    assert "a `YAGPT_` variable beats its `YC_` one" in README
    looked_up = set(re.findall(r'"((?:YC|SSL|XDG)_[A-Z_]+|TMPDIR)"', _all_code()))
    assert (others - sources) | looked_up <= set(re.findall(r"\b[A-Z][A-Z_]+\b", README))


def _variables(parameter: click.Parameter) -> list[str]:
    given = parameter.envvar or []
    return [given] if isinstance(given, str) else list(given)


@cache
def _all_code() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in _SOURCES)


def test_the_rule_of_variables_holds_for_every_option_of_which_it_is_said() -> None:
    ruled = _options(_SERVED["run"]) | _options(_SERVED["estimate"])
    but = {"render": {"--limit"}}
    followers = {"run", "estimate", "validate", "render", "check", "retry"}
    for name, command in _SERVED.items():
        of_this = ruled - {"--fresh", "--config"} - but.get(name, set())
        for parameter in command.params:
            option = parameter.opts[-1]
            if option in (of_this if name in followers else {"--prices"}):
                named = "YAGPT_" + option.strip("-").upper().replace("-", "_")
                assert named in _variables(parameter), (name, option)


def test_what_is_no_key_of_the_settings_file_is_named() -> None:
    told = re.search(r"Not in it: (.+)\.$", section("Settings"), re.MULTILINE)
    assert told
    assert options_in(told[1]) == config.FLAGS_ONLY - {"--help"}


def test_every_file_of_a_run_is_named() -> None:
    own = [path.name for path in Paths(Path("results.jsonl")).all()]
    told = [name for cells in rows(section("Output")) for name in quoted(" ".join(cells))]
    assert set(own) <= set(told)


def test_every_stage_and_every_credential_is_named() -> None:
    stages = next(p for p in _SERVED["retry"].params if p.name == "stage").type
    assert isinstance(stages, click.Choice)
    assert set(stages.choices) <= set(quoted(section("Output")))
    assert [quoted(cells[0])[0] for cells in rows(section("Credentials"))] == list(SOURCES)


def test_every_kind_of_fault_is_told() -> None:
    page = (ROOT / "docs" / "emulator.md").read_text(encoding="utf-8")
    told = {kind for cells in rows(page) for kind in quoted(cells[1])}
    kinds = schedules.NOT_TAKEN | schedules.TAKEN | schedules.OPERATIONS | schedules.TOKENS
    assert set(kinds) == told


# Messages.


def _texts(tree: ast.AST) -> Iterator[str]:
    """Every text below a node as it is said, without docstrings: what is filled in is a hole."""
    nodes = list(ast.walk(tree))
    silent = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        match node:
            case _ if id(node) in silent:
                pass
            case ast.JoinedStr(values=parts):
                yield "".join(_part(part) for part in parts)
            case ast.Constant(value=str(text)):
                yield re.sub(r"%[a-z]", _HOLE, text)


def _part(part: ast.expr) -> str:
    is_text = isinstance(part, ast.Constant) and isinstance(part.value, str)
    return str(part.value) if is_text else _HOLE  # type: ignore[attr-defined]


@cache
def _trees() -> tuple[ast.Module, ...]:
    return tuple(ast.parse(path.read_bytes()) for path in _SOURCES)


@cache
def _all_texts() -> tuple[str, ...]:
    return tuple(text for tree in _trees() for text in _texts(tree))


def _messages() -> list[str]:
    return [said for cells in rows(section("Troubleshooting")) for said in quoted(cells[0])]


def _says(text: str, message: str) -> bool:
    """Whether the parts of a message stand in a text, one after another."""
    at = 0
    for part in message.split("…"):
        at = text.find(part, at) + len(part)
        if at < len(part):
            return False
    return True


@pytest.mark.parametrize("message", _messages())
def test_a_message_that_is_explained_is_one_of_the_program_s(message: str) -> None:
    assert any(_says(text, message) for text in _all_texts())


def _ends() -> list[str]:
    return [name for name, value in vars(errors).items() if _ends_a_run(value)]


def _ends_a_run(value: object) -> bool:
    is_one = isinstance(value, type) and issubclass(value, errors.RunError)
    return is_one and value is not errors.RunError


@cache
def _raised() -> tuple[tuple[str, str], ...]:
    """The name of what is called, and a text among its arguments."""
    nodes = (node for tree in _trees() for node in ast.walk(tree))
    return tuple(
        (node.func.id, text)
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        for text in _texts(node)
    )


@pytest.mark.parametrize("name", _ends())
def test_every_kind_of_end_has_a_message_that_is_explained(name: str) -> None:
    said = [text for raised, text in _raised() if raised == name]
    assert any(_says(text, message) for message in _messages() for text in said)


# Links, and the other language.


@_BOTH
def test_every_link_leads_somewhere(text: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        page = (ROOT / path).read_text(encoding="utf-8") if path else text
        heads = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
        assert not anchor or anchor in {_anchor(head) for head in heads}, target


def _anchor(head: str) -> str:
    return re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-")


def test_every_page_of_the_docs_is_listed() -> None:
    linked = set(re.findall(r"\((docs/[^)#]+)\)", section("More")))
    assert linked == {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}


def test_the_russian_readme_lists_every_command_as_the_english_one_does() -> None:
    english = section("Commands and options")
    listed = [quoted(cells[0])[0] for cells in rows(section("Команды", RUSSIAN))]
    assert listed == [quoted(cells[0])[0] for cells in rows(english) if len(cells) == 3]


def test_every_command_of_the_russian_readme_is_one_of_the_english_one_s() -> None:
    russian = {shown.line: shown.code for block in commands_in(RUSSIAN) for shown in block}
    english = {shown.line: shown.code for block in commands_in(README) for shown in block}
    assert russian.items() <= english.items()
    # What the short one leaves out: the kill at the beginning, and the emulator as a server.
    left_out = [line for line in english if line not in russian]
    assert all("prompts.jsonl -o results.jsonl --emulator" in line or "8080" in line
               for line in left_out), left_out  # fmt: skip
