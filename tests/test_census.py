"""Rows are counted once, and samples of them are fair."""

from collections import Counter
from random import Random

from pipeline.codec import Json, encode
from pipeline.estimate.census import Census, Group, characters_of
from pipeline.input.rows import Recipe, Row, parse_row

RECIPE = Recipe("yandexgpt-lite", "b1g")


def met(census: Census, line: int, **fields: Json) -> None:
    data = encode({"prompt": "Вопрос", **fields})
    row = parse_row(line, data, RECIPE)
    assert isinstance(row, Row)
    census.meet(row, data)


def taken(rows: int, seed: int = 0) -> Census:
    """A census of rows of many sizes and two models."""
    chance = Random(seed)  # noqa: S311 - a test's dice
    census = Census(chance.random)
    for line in range(1, rows + 1):
        size = int(chance.lognormvariate(4, 1)) + 1
        met(census, line, prompt="слово " * size, model="yandexgpt" if line % 5 == 0 else None)
    return census


def lines(group: Group) -> list[int]:
    return [row.line for row in group.rows]


def test_every_row_is_counted_by_its_model() -> None:
    assert taken(100).by_model() == {"yandexgpt": 20, "yandexgpt-lite": 80}


def test_what_a_request_sends_is_counted_in_characters() -> None:
    texts: list[Json] = [{"role": "user", "text": "Ещё"}, {"role": "user", "text": "two"}]
    body: dict[str, Json] = {"modelUri": "gpt://b1g/yandexgpt", "messages": texts}
    assert characters_of(encode(body)) == 6
    assert characters_of(encode({**body, "jsonSchema": {}})) == 6 + len('{"jsonSchema":{}}')


def test_groups_hold_all_rows_and_never_mix_models() -> None:
    for least in (1, 30, 1000):
        groups = taken(300).groups(least)
        assert sorted(line for group in groups for line in lines(group)) == list(range(1, 301))
        assert all(len({line % 5 == 0 for line in lines(group)}) == 1 for group in groups)
        assert sum(group.count for group in groups) == 300
        of_lite = [group.count for group in groups if group.model == "yandexgpt-lite"]
        assert min(of_lite) >= min(least, 240)


def test_a_beginning_of_a_groups_rows_has_its_share_of_each_size() -> None:
    (group,) = [g for g in taken(2000).groups(2000) if g.model == "yandexgpt-lite"]
    first = sum(row.characters for row in group.rows[:100]) / 100
    assert abs(first - group.characters / group.count) < 0.1 * first


def test_every_row_is_as_likely_to_be_drawn_as_any_other() -> None:
    drawn: Counter[int] = Counter()
    for seed in range(300):
        census = Census(Random(seed).random)  # noqa: S311 - a test's dice
        for line in range(1, 101):
            met(census, line, prompt="слово " * (1 + line))
        for group in census.groups(1000):
            drawn.update(lines(group)[:20])
    # 60 each are expected, with a standard deviation of 7.
    assert len(drawn) == 100
    assert 30 < min(drawn.values()) <= max(drawn.values()) < 95


def test_later_rows_take_the_places_of_earlier_ones_by_chance() -> None:
    census = Census(Random(3).random)  # noqa: S311 - a test's dice
    for line in range(1, 4001):
        met(census, line)
    (stratum,) = census.strata
    assert (stratum.count, len(stratum.kept)) == (4000, 500)
    early = sum(row.line <= 2000 for row in stratum.kept)
    assert 200 < early < 300


def test_of_large_rows_few_are_kept() -> None:
    census = Census(Random(3).random)  # noqa: S311 - a test's dice
    for line in range(1, 101):
        met(census, line, prompt="слово " * 16_000)
    (stratum,) = census.strata
    assert stratum.count == 100
    assert len(stratum.kept) == 30


def test_a_group_of_which_not_all_is_kept_is_drawn_as_far_as_it_goes() -> None:
    census = Census(Random(3).random)  # noqa: S311 - a test's dice
    for line in range(1, 5001):
        met(census, line, prompt="слово " * (1 if line % 100 else 16_000))
    (group,) = census.groups(10_000)
    assert group.count == 5000
    assert 400 < len(group.rows) < 5000
    assert len(set(lines(group))) == len(group.rows)


def test_no_number_of_different_models_and_limits_makes_the_census_grow() -> None:
    census = Census(Random(3).random)  # noqa: S311 - a test's dice
    for line in range(1, 1001):
        met(census, line, prompt="слово " * 2 ** (line % 13), max_tokens=2 ** (line % 40))
    assert 300 <= len(census.strata) <= 313
    assert census.rows == 1000


def test_the_same_seed_draws_the_same_rows() -> None:
    one, same, other = taken(500, 1).groups(50), taken(500, 1).groups(50), taken(500, 2).groups(50)
    assert [lines(group) for group in one] == [lines(group) for group in same]
    assert [lines(group) for group in one] != [lines(group) for group in other]
