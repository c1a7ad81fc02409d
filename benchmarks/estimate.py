"""How often the interval of an estimate holds the total that is billed in the end.

Seeded trials: 2,000 rows of a mixture (Russian and English, short and long, three models, answers
with and without a limit), tokens as the emulator counts them, answers of skewed lengths. The
estimate is made as the command makes it: by the tokenizer on a sample, with earlier results of
other rows of the same mixture, or with a canary. A canary's rows are asked again by the run: the
total is billed both with the same answers and with answers drawn anew.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random
from statistics import median

from pipeline.cli.pricing import price_table
from pipeline.codec import encode
from pipeline.emulator.tokens import count_conversation
from pipeline.estimate.canary import Canary
from pipeline.estimate.census import Census
from pipeline.estimate.earlier import Earlier
from pipeline.estimate.fit import Estimate, total
from pipeline.estimate.forecast import parts_of, weights
from pipeline.estimate.survey import GROUPS, Survey
from pipeline.input.rows import Recipe, Row, parse_row

ROWS, CANARY = 2000, 400
_RECIPE = Recipe("yandexgpt-lite", "b1g")
_ALPHABETS = ("оеаинтсрвлкмдпуяыьгзбчйхжшюцщэф", "etaoinsrhldcumfpgwybvk")
_NO_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class Asked:
    """A row with what the service bills for its prompt, and how its answers are distributed."""

    row: Row
    data: bytes
    input: int
    median: float

    def answer(self, chance: Random) -> int:
        """The length of an answer: lognormal, cut off at the limit."""
        drawn = round(chance.lognormvariate(0.0, 0.7) * self.median) + 1
        return min(drawn, self.row.output_bound or _NO_LIMIT)


class Texts:
    """Prose of made-up words, of any length."""

    def __init__(self, chance: Random) -> None:
        self._long = [" ".join(_words(chance, letters)) for letters in _ALPHABETS]

    def draw(self, chance: Random, alphabet: int, size: int) -> str:
        long = self._long[alphabet]
        start = chance.randrange(len(long) - size)
        return long[start : start + size].strip() or "?"


def _words(chance: Random, letters: str) -> Iterator[str]:
    for _ in range(20_000):
        size = min(int(chance.expovariate(1 / 5)) + 1, 14)
        yield "".join(chance.choices(letters, k=size)) + chance.choice(["", "", "", "", ",", "."])


def mixture(texts: Texts, chance: Random, rows: int = ROWS) -> list[Asked]:
    """Rows as people mix them."""
    return [_asked(texts, chance, line) for line in range(1, rows + 1)]


def _asked(texts: Texts, chance: Random, line: int) -> Asked:
    is_long, is_english = chance.random() < 0.2, chance.random() < 0.4
    size = chance.lognormvariate(7.5, 0.7) if is_long else chance.lognormvariate(4.8, 0.6)
    text = texts.draw(chance, is_english, min(int(size) + 5, 20_000))
    fields: dict[str, object] = {"prompt": text}
    if (model := chance.random()) < 0.2:
        fields["model"] = "yandexgpt/rc" if model < 0.1 else "aliceai-llm"
    if chance.random() < 0.3:
        fields["max_tokens"] = chance.choice([100, 300])
    data = encode(fields)
    row = parse_row(line, data, _RECIPE)
    assert isinstance(row, Row)  # noqa: S101 - as made above
    tokens = count_conversation([("user", text)])
    typical = 0.25 * tokens + 60 if is_long else 120.0
    return Asked(row, data, tokens, typical)


@dataclass(frozen=True, slots=True)
class Trial:
    """An interval, and what was true."""

    found: Estimate
    true: float

    def holds(self, confidence: float = 0.95) -> bool:
        low, high = self.found.interval(confidence)
        return low <= self.true <= high

    @property
    def width(self) -> float:
        return self.found.relative(0.95)


def trials(seed: int, texts: Texts, canary: int = CANARY) -> dict[str, Trial]:
    """Every way to estimate one input."""
    chance = Random(seed)
    asked, before = mixture(texts, chance), mixture(texts, chance)
    table = price_table(None)
    census = Census(Random(seed).random)
    for one in asked:
        census.meet(one.row, one.data)
    rows: dict[str, int] = {}
    for stratum in census.strata:
        rows[stratum.model] = rows.get(stratum.model, 0) + stratum.count
    by_line = {one.row.line: one for one in asked}
    inputs = _surveyed(census, by_line, weights(rows, table, lambda price: price.input))
    answers = {line: one.answer(chance) for line, one in by_line.items()}
    earlier = Earlier()
    for one in before:
        earlier.hear(_result(one, chance))
    few = Canary(census, canary, weights(rows, table, lambda price: price.output))
    outputs = few.outputs({met.line: float(answers[met.line]) for met in few.rows})
    again = {line: one.answer(chance) for line, one in by_line.items()}

    def cost(outputs: Mapping[str, Estimate]) -> Estimate:
        costs = [part.cost for part in parts_of(rows, inputs, outputs, table)]
        return total(cost for cost in costs if cost is not None)

    def billed(answers: Mapping[int, int]) -> float:
        prices = {model: table.find(model) for model in rows}
        return sum(
            float(price.of(one.input, answers[line]))
            for line, one in by_line.items()
            if (price := prices[one.row.model]) is not None
        )

    like = earlier.outputs(rows, inputs)
    return {
        "input tokens": Trial(total(inputs.values()), sum(one.input for one in asked)),
        "--like": Trial(cost(like), billed(answers)),
        f"--canary {canary}, same answers": Trial(cost(outputs), billed(answers)),
        f"--canary {canary}, answers anew": Trial(cost(outputs), billed(again)),
    }


def _surveyed(
    census: Census, by_line: Mapping[int, Asked], prices: Mapping[str, float]
) -> dict[str, Estimate]:
    survey = Survey(census.groups(census.rows / GROUPS), prices, 0.95)
    while drawn := survey.draw():
        for place, met in drawn:
            survey.hear(place, met, by_line[met.line].input)
    return survey.totals()


def _result(one: Asked, chance: Random) -> bytes:
    usage = {"input_tokens": one.input, "completion_tokens": one.answer(chance)}
    return encode({"status": "ok", "model": one.row.model, "usage": usage})


def judged(seeds: range, canary: int = CANARY) -> dict[str, list[Trial]]:
    """All trials, by the way to estimate."""
    texts, found = Texts(Random(0)), dict[str, list[Trial]]()
    for seed in seeds:
        for name, trial in trials(seed, texts, canary).items():
            found.setdefault(name, []).append(trial)
    return found


def main() -> None:
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print("| estimate | trials | holds | half-width, median | at most |")
    print("| --- | --: | --: | --: | --: |")
    for name, found in judged(range(seeds)).items():
        widths = [trial.width for trial in found]
        print(
            f"| {name} | {len(found)} | {sum(trial.holds() for trial in found)} |"
            f" {median(widths):.1%} | {max(widths):.1%} |"
        )


if __name__ == "__main__":
    main()
