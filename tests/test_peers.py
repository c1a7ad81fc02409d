"""The comparison with other tools: its turns and tables, with tools that are made up."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.contenders import CONTENDERS, Contender, Unmeasured
from benchmarks.environments import Environments
from benchmarks.gauge import Run
from benchmarks.peers import Terms, race
from benchmarks.scoreboard import Standing, table, table_again

# Asks in the way of an OpenAI client, once a row and as `calls` more; resumes from its own output.
_TOOL = """
import json, sys
from http.client import HTTPConnection
from pathlib import Path

source, target, port, in_flight, calls = sys.argv[1:]
rows = Path(source).read_text().splitlines()
done = len(Path(target).read_text().splitlines()) if Path(target).exists() else 0
server = HTTPConnection("127.0.0.1", int(port))
with Path(target).open("a") as out:
    for row in map(json.loads, rows[done:]):
        for _ in range(int(calls)):
            body = json.dumps({"messages": [{"role": "user", "content": row["prompt"]}]})
            server.request("POST", "/v1/chat/completions", body)
            answer = json.load(server.getresponse())
        text = answer["choices"][0]["message"]["content"]
        assert text and answer["usage"]["completion_tokens"] == 64
        out.write(json.dumps({"id": row["id"], "text": text}) + "\\n")
"""
_TERMS = Terms(rows=20, done=30, rounds=1, in_flight=2)


def _tool(folder: Path, name: str, *, calls: int = 1, program: str = _TOOL) -> Contender:
    path = folder / f"{name}.py"
    path.write_text(program, encoding="utf-8")
    asked = ("{input}", "{output}", "{port}", "{in_flight}", str(calls))
    return Contender(name, (), ("python", "-P", str(path), *asked), resumes=True)


def _cells(printed: str, name: str) -> list[list[str]]:
    """The lines of the tables about one contender, each as its cells."""
    lines = [line for line in printed.splitlines() if line.startswith(f"| {name} |")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_tools_run_in_turns_and_each_gets_a_line_in_both_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    race([_tool(tmp_path, "once"), _tool(tmp_path, "twice", calls=2)], tmp_path / "all", _TERMS)
    printed = capsys.readouterr().out
    once, once_again = _cells(printed, "once")
    twice, twice_again = _cells(printed, "twice")
    assert (once[1], twice[1]) == ("1", "2")
    assert all(float(cell.replace(",", "")) > 0 for cell in (once[2], once[5], once[7]))
    # Finished outputs: nothing was asked for.
    assert (once_again[4], twice_again[4]) == ("0", "0")


def test_a_tool_that_fails_is_a_line_that_says_why_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fails = _tool(tmp_path, "fails", program="raise SystemExit('no such | model')")
    forgets = _tool(tmp_path, "forgets", program="")
    missing = Contender("missing", (str(tmp_path / "nowhere"),), ("nothing",))
    goes_on = _tool(tmp_path, "goes on")
    race([fails, forgets, missing, goes_on], tmp_path / "all", _TERMS)
    printed = capsys.readouterr().out
    assert _cells(printed, "fails")[0][1] == "exit 1; no such / model"
    assert _cells(printed, "forgets")[0][1] == "0 lines for 1 rows; it said nothing"
    assert "nowhere" in _cells(printed, "missing")[0][1]
    assert [len(cells) for cells in _cells(printed, "goes on")] == [9, 6]


def test_a_tool_that_does_not_end_is_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hangs = _tool(tmp_path, "hangs", program="import time; time.sleep(600)")
    race([hangs], tmp_path / "all", replace(_TERMS, patience=0.5))
    assert _cells(capsys.readouterr().out, "hangs")[0][1] == "not over after 0.5 s"


def test_an_environment_is_made_anew_only_where_its_requirements_change(tmp_path: Path) -> None:
    environments, tool = Environments(tmp_path), Contender("tool", (), ("python",))
    mark = environments.install(tool) / "mark"
    mark.touch()
    environments.install(tool)
    assert mark.exists()
    with pytest.raises(Unmeasured, match="nowhere"):
        environments.install(replace(tool, requirements=(str(tmp_path / "nowhere"),)))
    assert not mark.exists()


def _run(cpu: float, *, seconds: float = 11.0, memory: int = 50 << 20, calls: int = 100) -> Run:
    return Run(seconds, cpu, memory, calls, first=1.0)


def test_a_table_holds_medians_and_takes_the_start_out_of_what_a_call_costs() -> None:
    wholes = [_run(cpu) for cpu in (9.9, 1.49, 0.1)]
    starts = [_run(0.5, calls=2), _run(0.5, calls=2), _run(7.0, calls=2)]
    line = table([Standing("tool", 30 << 20, starts, wholes)], rows=50).splitlines()[-1]
    # Of 1.49 s of CPU 0.5 are the start and a first row, the others are 49 rows of two calls.
    assert line == "| tool | 2 | 29.80 | 10.10 | 0.50 | 5 | 1.0 | 50 | 30 |"


def test_a_table_of_resumed_runs_stands_beside_the_first_one() -> None:
    again = [_run(0.2, seconds=0.25, memory=40 << 20, calls=0)]
    standing = Standing("tool", first=_run(5.0, memory=60 << 20), again=again)
    assert table_again([standing], 500).splitlines()[-1] == "| tool | 0.2 | 0.2 | 40 | 0 | 60 |"


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda one: one.name)
def test_a_driver_takes_the_arguments_that_it_is_given_and_nothing_of_ours(
    contender: Contender,
) -> None:
    programs = [
        Path(part)
        for part in (*contender.command, *(contender.stand_in or ()))
        if part.endswith(".py")
    ]
    if contender.name.startswith("yagpt-batch"):
        assert programs == []
        return
    driver = ast.parse(programs[0].read_text(encoding="utf-8"))
    mains = [one for one in ast.walk(driver) if getattr(one, "name", "") == "main"]
    (main,) = [one for one in mains if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    given = [part for part in contender.command if part.startswith("{")]
    assert [argument.arg for argument in main.args.args] == [
        "source",
        "target",
        "port",
        "in_flight",
    ]
    assert given == ["{input}", "{output}", "{port}", "{in_flight}"]
    for program in programs:
        assert _imported(program).isdisjoint({"pipeline", "benchmarks", "tests"})


def _imported(program: Path) -> set[str]:
    """The names of the packages that a program takes anything from."""
    names = set()
    for one in ast.walk(ast.parse(program.read_text(encoding="utf-8"))):
        if isinstance(one, ast.Import):
            names |= {name.name.partition(".")[0] for name in one.names}
        elif isinstance(one, ast.ImportFrom):
            names.add((one.module or ".").partition(".")[0])
    return names


def test_every_version_is_pinned() -> None:
    for contender in CONTENDERS:
        named = [one for one in contender.requirements if not Path(one.partition("[")[0]).exists()]
        assert all("==" in one for one in named if not one.startswith("--"))
