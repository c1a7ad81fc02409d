"""What is wrong with a call is told with what was meant, and with where a value came from."""

import re
from pathlib import Path

import click
import pytest

from pipeline.cli import commands
from pipeline.cli.mistakes import sentences
from pipeline.cli.run import run
from pipeline.cli.variables import known

ROOT = Path(__file__).parent.parent
RUN = ("run", "in.jsonl", "-o", "out.jsonl")


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def told(*arguments: str) -> list[str]:
    with pytest.raises(click.ClickException) as raised:
        commands.main(list(arguments), prog_name="yagpt-batch", standalone_mode=False)
    assert raised.value.exit_code == 2
    return list(sentences(raised.value))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("rum",), 'there is no command "rum". Did you mean run?'),
        (("qqqq",), 'there is no command "qqqq".'),
        (("RUM",), 'there is no command "RUM". Did you mean run?'),
        (("--verison",), "there is no option --verison. Did you mean --version?"),
        ((*RUN, "--max-token", "5"), "there is no option --max-token. Did you mean --max-tokens?"),
        ((*RUN, "--temperature", "3"), "--temperature: 3.0 is not in the range 0<=x<=1."),
        ((*RUN, "--system", "@no"), "--system: can't read no: No such file or directory."),
        ((*RUN, "--template", "{"), "--template: The template has a single {"),
        (("emulator", "--port", "70000"), "--port: 70000 is not in the range 0<=x<=65535."),
        ((*RUN, "--attempts"), "Option '--attempts' requires an argument."),
        (
            (*RUN, "--progress", "jsn"),
            "--progress: 'jsn' is none of auto, bar, plain, json, none. Did you mean json?",
        ),
        ((*RUN, "--http", "qq"), "--http: 'qq' is none of auto, httpx, httptools."),
        (("retry", "o", "--stage", "anser"), "--stage: 'anser' is none of input, submit,"),
        ((*RUN, "--max-tokens", "5k"), "--max-tokens: '5k' is no whole number: write one of at"),
        ((*RUN, "--temperature", "hot"), "--temperature: 'hot' is no number: write one from 0 to"),
        (("prices", "--on", "today"), "--on: 'today' is no day: write 2026-11-22."),
        ((*RUN, "--rate", "x"), "--rate: 'x' is not a rate: write 10/s, 5000/h or 100/20s, or"),
        (("emulator", "--rate", "x"), "--rate: 'x' is not a rate: write 10/s, 5000/h or 100/20s"),
        (("emulator", "--skew", "-5"), "--skew: '-5' is no duration: write 90s or 10m, or -90s."),
    ],
)
def test_what_was_meant_is_told(arguments: tuple[str, ...], said: str) -> None:
    first, *more = told(*arguments)
    assert first.startswith(f"yagpt-batch: {said}")
    assert re.fullmatch(r"(More: yagpt-batch ([a-z]+ )?--help)?", "".join(more))


def test_a_number_with_a_unit_is_told_to_have_none() -> None:
    assert told("emulator", "--latency", "2s")[0] == (
        "yagpt-batch: --latency: '2s' is no number: write SECONDS as one of at least 0, "
        "without a unit."
    )
    assert told("estimate", "in.jsonl", "--seed", "x")[0] == (
        "yagpt-batch: --seed: 'x' is no whole number: write one."
    )


def test_a_source_of_credentials_that_does_not_exist_is_told_with_the_one_that_was_meant() -> None:
    assert told(*RUN, "--auth", "key")[0].endswith("token, yc. Did you mean api-key?")
    assert told(*RUN, "--auth", "YC_SA_FILE")[0].endswith("Did you mean sa-key-file?")


def host(*arguments: str) -> tuple[bool, str | None]:
    context = run.make_context("run", [*RUN[1:], *arguments])
    return context.params["emulator"], context.params["endpoint"]


def test_the_emulator_and_another_host_are_not_both_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = (
        "yagpt-batch: --emulator (from {}) and --endpoint (from the command line): "
        "give one of them."
    )
    by_hand = both.format("the command line")
    assert told(*RUN, "--emulator", "--endpoint", "http://a")[0] == by_hand
    assert told("estimate", "in.jsonl", "--endpoint", "http://a", "--emulator")[0] == by_hand
    monkeypatch.setenv("YAGPT_EMULATOR", "1")
    assert told(*RUN, "--endpoint", "http://a")[0] == both.format("YAGPT_EMULATOR")


def test_the_emulator_may_be_tried_where_a_variable_names_a_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("YAGPT_ENDPOINT", "http://a")
    assert host("--emulator") == (True, "http://a")
    assert host() == (False, "http://a")


def test_what_is_missing_is_told_with_the_usage() -> None:
    assert told("run", "in.jsonl") == [
        "Usage: yagpt-batch run [OPTIONS] INPUT",
        "yagpt-batch: --output is missing.",
        "More: yagpt-batch run --help",
    ]
    assert "yagpt-batch: INPUT is missing." in told("validate")


def test_a_value_is_named_by_where_it_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("yagpt-batch.toml").write_text('temperature = 4\nsystem = "@no"\n')
    assert told(*RUN, "--system", "a")[0] == (
        "yagpt-batch: yagpt-batch.toml: temperature: 4.0 is not in the range 0<=x<=1."
    )
    monkeypatch.setenv("YAGPT_TEMPERATURE", "5")
    assert "yagpt-batch: YAGPT_TEMPERATURE: 5.0 is not" in told(*RUN, "--system", "a")[0]
    assert "yagpt-batch: --temperature: 6.0 is" in told(*RUN, "--system=a", "--temperature=6")[0]
    assert "yagpt-batch.toml: system: can't read no: " in told(*RUN, "--temperature=1")[0]
    Path("other.toml").write_text("max-tokens = 0\n")
    said = told(*RUN, "--config", "other.toml", "--temperature=1")[0]
    assert said.startswith("yagpt-batch: other.toml: max-tokens: 0 is not in the range")


def test_a_variable_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YAGPT_BUGDET", "100")
    for command in (RUN, ("validate", "in.jsonl")):
        assert told(*command)[0] == (
            "yagpt-batch: the environment has YAGPT_BUGDET, which is no variable of yagpt-batch. "
            "Did you mean YAGPT_BUDGET?"
        )


def test_every_variable_that_is_named_anywhere_is_known() -> None:
    files = [*ROOT.glob("pipeline/**/*.py"), ROOT / "README.md", *ROOT.glob("docs/*.md")]
    named = {
        name
        for path in files
        for name in re.findall(r"YAGPT_[A-Z][A-Z_]*[A-Z]", path.read_text(encoding="utf-8"))
    }
    ours = set(known(click.Context(commands)))
    assert named - ours == set()
    assert {"YAGPT_API_KEY", "YAGPT_SA_KEY_FILE", "YAGPT_LLM_URL", "YC_FOLDER_ID"} <= ours


def test_a_settings_file_that_cannot_be_read_is_told() -> None:
    said = "yagpt-batch: the settings file: can't read no.toml: No such file or directory."
    assert told(*RUN, "--config", "no.toml")[0] == said
    Path("yagpt-batch.toml").write_bytes(b"\xff")
    assert "yagpt-batch.toml is not UTF-8 (byte 0xff at position 0)" in told(*RUN)[0]
    Path("yagpt-batch.toml").write_bytes(b"\xef\xbb\xbfmodel = ")
    assert "yagpt-batch.toml is not TOML: Invalid value (at " in told(*RUN)[0]


def test_a_key_that_does_not_exist_is_an_error() -> None:
    Path("yagpt-batch.toml").write_text("temprature = 0\n")
    assert told(*RUN)[0] == (
        'yagpt-batch: yagpt-batch.toml: "temprature" is no setting. Did you mean temperature?'
    )
