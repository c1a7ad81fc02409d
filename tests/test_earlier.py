"""Earlier results tell how long answers will be."""

from random import Random

import pytest

from pipeline.codec import Json, encode
from pipeline.estimate.earlier import Earlier, Reach
from pipeline.estimate.fit import Estimate
from tests.lines import USAGE, answer
from tests.lines import failed as a_failure


def line(asked: int, said: int, model: str = "m", **more: Json) -> bytes:
    usage: Json = {"input_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
    return encode({"status": "ok", "model": model, "usage": usage, **more})


def heard(*lines: bytes) -> Earlier:
    earlier = Earlier()
    for one in lines:
        earlier.hear(one)
    return earlier


def test_answers_are_as_long_as_earlier_ones_to_prompts_of_that_length() -> None:
    earlier = heard(*(line(asked, 50 + 2 * asked) for asked in range(100, 200)))
    found = earlier.outputs({"m": 1000}, {"m": Estimate(1000 * 180.0)})
    assert found["m"].likely == pytest.approx(1000 * (50 + 2 * 180))


@pytest.mark.parametrize("length", [20.0, 51.0])
def test_of_prompts_of_other_lengths_than_all_earlier_ones_a_range_is_told(length: float) -> None:
    earlier = heard(*(line(31 + n % 3, 75 + n % 3 * 3) for n in range(60)))
    inputs = {"m": Estimate(400 * length, 1e4, 20)}
    found = earlier.outputs({"m": 400}, inputs)["m"]
    assert found.likely is None
    # As long as the nearest, three more with each token, or in proportion.
    nearest, edge = (81, 33) if length > 33 else (75, 31)
    each = sorted([nearest, nearest + 3 * (length - edge), nearest * length / edge])
    assert found.interval(0.95) == pytest.approx((400 * each[0], 400 * each[2]))
    assert list(earlier.out_of_reach({"m": 400}, inputs)) == [(length, Reach(31, 33))]
    assert earlier.outputs({"m": 400}, inputs, {"m": 60})["m"].interval(0.95)[1] <= 400 * 60


def test_earlier_prompts_without_a_token_are_no_measure() -> None:
    earlier = heard(*(line(0, 50) for _ in range(60)))
    found = earlier.outputs({"m": 10}, {"m": Estimate(200.0)})["m"]
    assert found.interval(0.95) == (500.0, 500.0)


def test_of_prompts_that_are_hardly_longer_the_line_is_told() -> None:
    earlier = heard(*(line(asked, 50 + 2 * asked) for asked in range(100, 200)))
    inputs = {"m": Estimate(1000 * 210.0)}
    assert earlier.outputs({"m": 1000}, inputs)["m"].likely == pytest.approx(1000 * 470)
    assert not list(earlier.out_of_reach({"m": 1000}, inputs))


def test_what_is_not_sure_of_the_prompts_is_not_sure_of_the_answers() -> None:
    earlier = heard(*(line(asked, 50 + 2 * asked) for asked in range(100, 200)))
    found = earlier.outputs({"m": 1000}, {"m": Estimate(150_000.0, 1e6, 20)})["m"]
    assert found.variance == pytest.approx(4e6)


def test_each_model_answers_as_it_did() -> None:
    earlier = heard(*(line(100, 10, "short") for _ in range(40)), *([line(100, 500, "long")] * 40))
    found = earlier.outputs(
        {"short": 10, "long": 10}, {"short": Estimate(1000.0), "long": Estimate(1000.0)}
    )
    assert found["short"].likely == pytest.approx(100)
    assert found["long"].likely == pytest.approx(5000)


def test_a_model_with_few_answers_is_taken_to_answer_as_all_did() -> None:
    earlier = heard(*([line(100, 40)] * 60), *([line(100, 1000, "rare")] * 3))
    found = earlier.outputs({"rare": 10}, {"rare": Estimate(1000.0)})
    assert earlier.lacks(["m", "rare"]) == ["rare"]
    assert found["rare"].likely == pytest.approx(10 * (60 * 40 + 3 * 1000) / 63)


def test_a_few_answers_that_are_alike_by_chance_make_nothing_certain() -> None:
    chance = Random(1)  # noqa: S311 - a test's dice
    others = [line(100, round(100 * chance.lognormvariate(0, 1))) for _ in range(500)]
    earlier = heard(*others, *(line(100, 100 + n % 2, "few") for n in range(30)))
    found = earlier.outputs({"few": 1000}, {"few": Estimate(100_000.0)})["few"]
    assert found.relative(0.95) > 0.2


def test_failures_and_answers_that_were_cut_off_are_counted() -> None:
    failed = encode(a_failure())
    cut_off = line(1, 2, finish="truncated")
    earlier = heard(failed, failed, cut_off, line(1, 2, finish="final", emulator=True))
    assert (earlier.answers, earlier.failed, earlier.truncated) == (2, 2, 1)
    assert earlier.emulated == 1


def test_an_answer_that_did_not_fit_is_an_answer_and_a_failure() -> None:
    by_form = a_failure(error={"stage": "answer", "code": "truncated"}, usage=USAGE)
    earlier = heard(encode(by_form))
    assert (earlier.answers, earlier.failed, earlier.truncated) == (1, 1, 1)


def test_a_row_with_the_answer_of_another_and_a_doubt_that_is_held_are_no_failures() -> None:
    twin = answer(usage=None, same_as={"line": 17, "id": "line-17"})
    held = a_failure(error={"stage": "doubt", "code": "no_answer"})
    earlier = heard(encode(answer()), encode(twin), encode(held))
    assert (earlier.answers, earlier.failed, earlier.unknown) == (1, 0, 0)


@pytest.mark.parametrize(
    "other",
    [b"", b"{", b"[]", b'{"totals": {}}', b'{"prompt": "a"}'],
    ids=["blank", "torn", "a list", "totals", "a row"],
)
def test_what_is_no_result_is_passed_over(other: bytes) -> None:
    earlier = heard(other)
    assert (earlier.answers, earlier.failed) == (0, 0)


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": 1}, 7])
def test_an_answer_of_unknown_usage_tells_nothing(usage: Json) -> None:
    earlier = heard(encode({"status": "ok", "model": "m", "usage": usage}))
    assert (earlier.answers, earlier.failed, earlier.unknown) == (0, 0, 1)
