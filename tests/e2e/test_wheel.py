"""The wheel holds all that the program needs."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.e2e.command import Shell
from tests.oracle import check

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the command stands that was installed from the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", "build", *options], check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv")
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", python, "install", "--no-compile"),
            *("--quiet", "--disable-pip-version-check"),
            *("--constraint", ROOT / "requirements.lock", wheel),
        ],
        check=True,
        capture_output=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    return str(python.with_name("yagpt-batch"))


def test_the_installed_wheel_carries_a_run_from_another_folder(
    program: str, tmp_path: Path
) -> None:
    shell = Shell(tmp_path, program)
    rows = shell.write_rows(3)
    call = ["run", rows.name, "-o", "out.jsonl", "--emulator"]
    done = shell.call(*call, YC_API_KEY=None, PYTHONPATH=None)
    assert done.code == 0, done.err
    assert len(check(rows, shell.path("out.jsonl")).results) == 3
    assert shell.call("--version", PYTHONPATH=None).out.startswith("yagpt-batch, version ")


def test_the_wheel_brings_the_manual_to_where_man_looks_for_it(program: str) -> None:
    page = Path(program).parent.parent / "share" / "man" / "man1" / "yagpt-batch.1"
    assert page.read_bytes() == (ROOT / "docs" / "yagpt-batch.1").read_bytes()


def test_the_wheel_holds_the_package_and_nothing_else(program: str) -> None:
    packages = Path(program).parent.parent / "lib"
    (package,) = packages.glob("python*/site-packages/pipeline")
    assert _files(package) == _files(ROOT / "pipeline")
    assert not [*packages.glob("python*/site-packages/tests")]


def _files(package: Path) -> set[Path]:
    """Without what the interpreter keeps, or was about to when it was killed."""
    files = {path.relative_to(package) for path in package.rglob("*")}
    return {path for path in files if "__pycache__" not in path.parts}
