"""Texts that options are given: as they are, or in a file."""

from pathlib import Path

import click
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.cli.kinds import DurationKind
from pipeline.cli.recipe import recipe_of
from pipeline.cli.texts import Given, SchemaKind, TemplateKind, TextKind, typed
from pipeline.input.template import Template
from pipeline.settings import Settings, difference
from tests.scratch import in_memory

OPTIONS = {"model": "yandexgpt", "temperature": None, "max_tokens": None, "template": None}


def text(value: str) -> Given:
    return TextKind().convert(value, None, None)


def fault(value: str) -> str:
    with pytest.raises(click.BadParameter) as raised:
        text(value)
    return raised.value.message


@given(st.text().filter(lambda text: not text.startswith("@")))
def test_a_text_is_itself(said: str) -> None:
    assert text(said) == said
    assert text("@@" + said) == "@" + said


@given(st.text())
def test_a_text_as_it_is_typed_is_that_text(said: str) -> None:
    assert text(typed(said)) == said


def test_a_schema_stands_in_a_file_or_is_given_itself(tmp_path: Path) -> None:
    path = tmp_path / "schema.json"
    path.write_text('{"type": "object"}')
    found = {SchemaKind().convert(given, None, None) for given in (str(path), path.read_text())}
    assert found == {'{"type":"object"}'}
    with pytest.raises(click.BadParameter, match="the text is not JSON"):
        SchemaKind().convert('{"type": ', None, None)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\ufeff")).filter(str.strip),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_files_text_is_all_of_it_but_one_final_newline(said: str, bom: bytes, end: str) -> None:
    # Before "\n", a "\r" would be part of the newline.
    assume(not said.endswith("\r"))
    with in_memory() as folder:
        path = Path(folder) / "text"
        path.write_bytes(bom + (said + end).encode())
        assert text(f"@{path}") == said


def test_only_the_last_newline_goes_and_those_within_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("Кратко.\r\nПо делу.\n\n".encode())
    found = text(f"@{path}")
    assert found == "Кратко.\r\nПо делу.\n"
    assert found.told == f"@{path} (18 characters)"


def test_what_was_read_is_not_taken_for_a_files_name_again(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("@home")
    found = text(f"@{tmp_path}/text")
    assert TextKind().convert(found, None, None) == "@home"


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "text"
    assert fault(f"@{path}") == (
        f"can't read {path}: No such file or directory. "
        "(A text that itself begins with @ has two.)"
    )
    path.write_bytes("Кратко".encode("cp1251"))
    assert fault(f"@{path}").startswith(f"{path} is not UTF-8 (byte 0xca at position 0)")
    path.write_bytes(b"\xef\xbb\xbf \n")
    assert fault(f"@{path}") == f"{path} is empty: there is nothing to send."
    assert fault("@").startswith("@ names no file")
    assert fault("@a\0b").startswith("can't read a\0b: ")
    assert fault(f"@{tmp_path}").startswith(f"can't read {tmp_path}: Is a directory")


def test_a_template_is_checked_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("Say {text}\n")
    assert TemplateKind().convert(f"@{path}", None, None) == "Say {text}"
    path.write_text("Say {text\n")
    for value in (f"@{path}", "Say {text", "@@ {"):
        with pytest.raises(click.BadParameter, match=r"a single \{"):
            TemplateKind().convert(value, None, None)


def test_a_run_is_known_by_the_texts_and_not_by_the_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("@{x}")

    def identity(value: str) -> dict[str, str]:
        given = {"system": text(value), "template": TemplateKind().convert(value, None, None)}
        return Settings(recipe_of(OPTIONS | given, "b1g")).identity()

    by_file = identity(f"@{tmp_path}/a")
    assert by_file == identity(f"@{tmp_path}/b") == identity("@@{x}")
    assert (by_file["system"], by_file["template"]) == ('"@{x}"', '"@{x}"')


def test_an_empty_system_text_is_none() -> None:
    assert recipe_of(OPTIONS | {"system": text("")}, "b1g").system is None
    recipe = recipe_of(OPTIONS | {"system": text("a"), "template": Given("{x}")}, "b1g")
    assert (recipe.system, recipe.template) == ("a", Template.parse("{x}"))


def test_a_long_text_that_was_changed_is_shown_where_it_was() -> None:
    before, now = f'"{"а" * 500}б{"в" * 500}"', f'"{"а" * 500}г{"в" * 500}"'
    told = difference("system", before, now)
    assert told == f"--system was …{'а' * 20}б{'в' * 59}…, is now …{'а' * 20}г{'в' * 59}…"
    assert difference("system", '"а"', "null") == '--system was "а", is now not given'
    assert "…" in difference("system", "null", now)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ("null", "100", "--x was not given, is now 100"),
        ("true", "false", "--x was given, is now not given"),
        ("[]", '["a"]', '--x was not given, is now ["a"]'),
    ],
)
def test_what_is_not_set_is_told_as_not_given(before: str, now: str, told: str) -> None:
    assert difference("x", before, now) == told


@pytest.mark.parametrize("text", ["12h", "90s", "1d", "10m", "0.5s", "36h"])
def test_a_duration_is_told_as_it_is_written(text: str) -> None:
    kind = DurationKind()
    assert kind.written(kind.convert(text, None, None)) == text
