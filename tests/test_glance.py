"""A file that has another shape than an input is told with what it has."""

from pipeline.checks import glance
from pipeline.checks.glance import Glance
from pipeline.codec import encode
from pipeline.input.rows import Recipe, parse_row
from pipeline.input.template import Template

RECIPE = Recipe("yandexgpt-lite", "b1g")
NONE = "in.jsonl: none of the 2 rows looked at can be sent"


def sentence(*lines: object, template: str | None = None) -> str | None:
    found = Glance()
    recipe = RECIPE if template is None else Recipe("m", "b1g", template=Template.parse(template))
    for number, line in enumerate(lines, 1):
        data = line if isinstance(line, bytes) else encode(line)
        found.take(parse_row(number, data, recipe), data)
    return found.sentence("in.jsonl", recipe.template)


def test_rows_without_a_prompt_are_told_with_their_fields_and_the_one_that_may_be_it() -> None:
    row = {"id": "a very long identifier", "lang": "ru", "question": "How are you?", "n": 5}
    assert sentence(row, row | {"more": 1}) == (
        f'{NONE}: they have "id", "lang", "question", "n" and "more", where the prompt is '
        '"prompt", "messages" or "request", or made by --template, such as '
        "--template '{question}'."
    )


def test_what_no_template_can_name_is_not_offered() -> None:
    told = sentence({"it's": "long enough"}, {"n": 1})
    assert told is not None
    assert told.endswith("or made by --template.")


def test_a_template_that_names_other_fields_is_told_with_its_own() -> None:
    assert sentence({"a": "b"}, {"a": "c"}, template="{text} {a} {text}") == (
        f'{NONE}: they have "a", where --template takes "text" and "a".'
    )
    told = sentence({"a": ""}, {"a": ""}, template="{a}")
    assert told == f'{NONE}, though they have "a": see what is wrong with them.'


def test_rows_that_have_a_prompt_are_wrong_in_another_way() -> None:
    told = sentence({"prompt": 1, "n": 2}, {"prompt": 2})
    assert told == f'{NONE}, though they have "prompt": see what is wrong with them.'


def test_what_is_no_object_is_told_what_a_row_is() -> None:
    told = f'{NONE}: a row is a JSON object on one line, such as {{"prompt": "…"}}.'
    assert sentence(["a"], b"a,b,c") == told


def test_one_row_or_one_that_is_fit_is_no_wrong_file() -> None:
    assert sentence() is None
    assert sentence({"a": 1}) is None
    assert sentence({"a": 1}, {"a": 1}, {"prompt": "a"}) is None
    assert sentence({"prompt": "a"}, {"a": 1}, {"a": 1}) is None


def test_only_the_first_rows_are_looked_at_and_only_some_names_are_kept() -> None:
    rows = [{f"{n}": "a"} for n in range(glance.MOST)]
    told = sentence(*rows, {"prompt": "a"})
    assert told is not None
    assert "none of the 10,000 rows looked at" in told
    assert '"6" and "7", where' in told
