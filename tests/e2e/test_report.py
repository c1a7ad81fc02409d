"""`report` writes one page that a real browser shows whole, whatever the rows say."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pipeline.wording import so_much
from tests.e2e.browser import Tab, browser, program
from tests.e2e.command import UNLIMITED, Done, Shell, count_lines
from tests.e2e.hostile import Hostile
from tests.lines import TOTALS, answer, failed

HOSTILE = "</script></title><img src=http://x.test/y onerror=alert(1)><svg onload=alert(2)>"
ODD = "ноль\0звонок\7назад\u202eвперёд\u2028"


def report(shell: Shell, *options: object) -> Done:
    return shell.call("report", "out.jsonl", "-o", "page.html", *options)


def text(shell: Shell) -> str:
    return shell.path("page.html").read_text(encoding="utf-8")


def lines(shell: Shell, *rows: Any, name: str = "out.jsonl") -> None:
    shell.path(name).write_text("".join(f"{json.dumps(row)}\n" for row in rows))


class Markup(HTMLParser):
    """Which tags there are, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        named = [name for name, _ in attrs]
        self.links += [name for name in named if name in {"src", "href", "xlink:href", "action"}]
        self.links += [name for name in named if name.startswith("on")]


def mixed(shell: Shell) -> list[Any]:
    """A run with rows that fail in several ways, and rows that mean harm."""
    rows = shell.write_rows(25)
    with rows.open("a", encoding="utf-8") as file:
        for row in (
            {"prompt": f"{HOSTILE} по-русски", "id": f"{HOSTILE}-1"},
            {"prompt": ODD, "id": "ряд\u202e№2"},
            {"prompt": "x", "model": f"нет-{HOSTILE}"},
            {"prompt": ""},
        ):
            file.write(json.dumps(row) + "\n")
        file.write("[]\n")
    # The second and the fifth operation fail.
    with shell.emulator(*UNLIMITED, "--latency", 0.1, "--fault", "fails@2-5") as emulator:
        call = ["run", rows, "-o", "out.jsonl", *emulator.options, *UNLIMITED]
        assert shell.call(*call, "--system", f"Отвечай кратко. {HOSTILE}").code == 3
    return [json.loads(line) for line in shell.path("out.jsonl").read_text().splitlines()]


@pytest.fixture
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    if program() is None:
        pytest.skip("there is no chromium here; `apt-get install chromium` brings one")
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def test_a_browser_shows_all_of_it_and_asks_for_nothing_else(shell: Shell, tab: Tab) -> None:
    written = mixed(shell)
    assert report(shell).code == 0
    page = shell.path("page.html")
    for width, scheme in ((390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")):
        tab.show(width, scheme)
        tab.open(page)
        assert tab.requested() == [page.resolve().as_uri()]
        assert tab.complaints() == []
        assert tab.value("document.documentElement.scrollWidth") <= width
        shade = sum(tab.value("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)"
                              ".map(Number)"))  # fmt: skip
        assert (shade > 600) == (scheme == "light")
    shown = tab.value("document.body.innerText")
    totals = written[-1]["totals"]
    assert f"{totals['ok']:,} ok, {totals['failed']:,} failed" in shown
    assert f"Cost\n{so_much(Decimal(totals['cost']['amount']), 'RUB')}\n" in shown
    for wanted in ("Это ответ эмулятора", "Отвечай кратко.", "по-русски"):
        assert wanted in shown, wanted
    # The answer quotes a prompt, which the page shows as it is, and does not carry out.
    assert HOSTILE in shown
    words = tab.value("[...document.querySelectorAll('svg.plot text')].map(t => t.textContent)")
    assert {"0", "0 s"} <= set(words)
    plots = tab.value("[...document.querySelectorAll('svg.plot')].map(p => p.ariaLabel)")
    assert plots[0] == "Rows so far"
    assert plots[2] == "How long answers took"
    # What an axis says stands in the picture, at a size that can be read.
    sizes = tab.value("[...document.querySelectorAll('svg.plot text')]"
                      ".map(t => t.getBoundingClientRect().height)")  # fmt: skip
    assert min(sizes) >= 10
    assert tab.value("document.querySelectorAll('script, img').length") == 0


def test_it_can_be_printed(shell: Shell, tab: Tab) -> None:
    lines(shell, answer(text="Привет"), failed(), TOTALS)
    assert report(shell).code == 0
    tab.open(shell.path("page.html"))
    tab.pdf(shell.path("page.pdf"))
    assert shell.path("page.pdf").read_bytes().startswith(b"%PDF")


def test_nothing_from_outside_becomes_markup(shell: Shell) -> None:
    lines(
        *(shell, answer(text=HOSTILE, id=HOSTILE, model=HOSTILE, finish=HOSTILE)),
        *(answer(text=ODD, id=ODD, model=ODD, line=2), answer(text="\ud83d", line=3)),
        failed(error={"stage": HOSTILE, "code": ODD, "message": f"{HOSTILE} & 'x' \"y\""}),
    )
    assert report(shell).code == 0
    page = text(shell)
    found = Markup(page)
    assert found.tags <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "ul", "li", "span"),
        *("b", "div", "figure", "figcaption", "svg", "rect", "line", "polyline", "text", "table"),
        *("thead", "tbody", "tr", "th", "td", "dl", "dt", "dd"),
    }
    assert found.links == []
    assert "x.test" in page, "nothing was shown at all"
    assert not [c for c in page if not c.isprintable() and c != "\n"]
    assert r"ноль\x00звонок\x07назад\u202eвперёд" in unescape(page)


def test_a_name_that_means_harm_is_a_name(shell: Shell) -> None:
    name = "<b onclick=x>ночь.jsonl"
    lines(shell, answer(), name=name)
    assert shell.call("report", name, "-o", "page.html").code == 0
    assert "&lt;b onclick=x&gt;ночь.jsonl" in text(shell)
    assert Markup(text(shell)).links == []


@pytest.mark.promise("P15")
def test_the_page_says_what_cost_says(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(6)
    with rows.open("a") as file:
        file.write("[]\n")
    call = ["run", rows, "-o", "out.jsonl", *service.options, "--rate", "7/s", "--json"]
    done = shell.call(*call)
    assert done.code == 3
    assert report(shell).out == "7 rows told in page.html\n"
    page = text(shell)
    assert "Finished, 7 of 7 rows done." in page
    assert f"<b>{so_much(Decimal(done.json['cost']['amount']), 'RUB')}</b>" in page
    assert f"<b>{done.json['usage']['input_tokens']:,}</b>" in page
    table = shell.call("cost", "out.jsonl").out.splitlines()
    cells = [line.split()[-1] for line in table[1:3]]
    assert all(f">{cell}</td>" in page for cell in cells)
    # What the run kept to is the checkpoint's to tell.
    assert "<dt>rate</dt><dd>7/s</dd>" in page
    assert "6 submits in " in page
    assert "from then on each POST counts" not in page
    # Of a long run it forgets the first ones.
    with closing(sqlite3.connect(shell.path("out.jsonl.checkpoint"))) as db:
        db.execute("DELETE FROM sends WHERE number = 1")
        db.commit()
    assert report(shell).code == 0
    assert "from then on each POST counts" in text(shell)


def test_a_run_that_goes_on_is_told_as_such_and_not_disturbed(
    shell: Shell, service: Hostile
) -> None:
    rows = shell.write_rows(40)
    call = ["run", rows, "-o", "out.jsonl", *service.options, "--rate", "20/s"]
    with shell.started(*call) as running:
        running.until(lambda: count_lines(shell.path("out.jsonl")) >= 5)
        assert report(shell).code == 0
        assert "<p>Running, " in text(shell)
        assert running.wait().code == 0
    assert report(shell).code == 0
    assert "<p>Finished, 40 of 40 rows done." in text(shell)
    assert shell.call("audit", "out.jsonl").code == 0


def test_a_run_that_was_killed_is_told_as_stopped(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(40)
    call = ["run", rows, "-o", "out.jsonl", *service.options, "--rate", "20/s"]
    with shell.started(*call) as running:
        running.until(lambda: count_lines(shell.path("out.jsonl")) >= 5)
        running.kill()
    assert report(shell).code == 0
    assert "To continue: yagpt-batch run " in text(shell)
    assert '<span class="note">Until now</span>' in text(shell)


def test_bad_lines_are_counted_and_said(shell: Shell) -> None:
    lines(shell, answer(), "no result", answer())
    with shell.path("out.jsonl").open("a") as file:
        file.write('{"line":3,')
    done = report(shell)
    assert (done.code, done.out) == (0, "2 rows told in page.html\n")
    for told in (
        "out.jsonl:2: this line is no result",
        "out.jsonl:4: this last line is not whole",
    ):
        assert told in done.err
        assert told in text(shell)


@pytest.mark.parametrize("content", [b"hello", b"\x7fELF\0\n\n\xff", b'{"prompt": "a"}\n', b""])
def test_a_file_that_is_no_output_is_one_sentence(shell: Shell, content: bytes) -> None:
    shell.path("out.jsonl").write_bytes(content)
    done = report(shell)
    assert (done.code, done.out) == (65, "")
    assert done.err == (
        "yagpt-batch: out.jsonl is no output of yagpt-batch: no line of it is a result. "
        "Name the output of a run.\n"
    )
    assert not shell.path("page.html").exists()


def test_an_output_that_is_not_there_is_one_sentence(shell: Shell) -> None:
    done = report(shell)
    assert (done.code, done.err.count("\n")) == (65, 1)
    assert "there is no output out.jsonl." in done.err


def test_the_page_takes_the_place_of_no_file_of_the_run(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(2)
    assert shell.call("run", rows, "-o", "out.jsonl", *service.options).code == 0
    names = ("out.jsonl", "out.errors.jsonl", "out.jsonl.checkpoint", "in.jsonl")
    for name in names:
        before = shell.path(name).read_bytes() if shell.path(name).exists() else None
        done = shell.call("report", "out.jsonl", "-o", name)
        assert done.code == 2, name
        assert "that is a file of the run itself." in done.err
        assert (shell.path(name).read_bytes() if before is not None else None) == before


def test_a_page_that_was_there_is_replaced_whole_or_not_at_all(shell: Shell) -> None:
    lines(shell, answer())
    shell.path("page.html").write_text("before")
    assert report(shell).code == 0
    assert text(shell).startswith("<!doctype html>")
    assert sorted(path.name for path in shell.folder.iterdir() if "page" in path.name) == [
        "page.html"
    ]
    done = shell.call("report", "out.jsonl", "-o", "none/page.html")
    assert (done.code, done.err) == (
        74,
        "yagpt-batch: can't write none/page.html: the folder none does not exist. "
        "Make the folder none, or name a file in another one.\n",
    )


def test_what_is_no_plain_file_is_left_alone(shell: Shell) -> None:
    lines(shell, answer())
    os.mkfifo(shell.path("pipe"))
    done = shell.call("report", "out.jsonl", "-o", "pipe")
    assert (done.code, "name a plain file" in done.err) == (2, True)
    assert shell.path("pipe").is_fifo()


def test_a_damaged_checkpoint_is_a_remark(shell: Shell) -> None:
    lines(shell, answer())
    Path(shell.path("out.jsonl.checkpoint")).write_text("nothing of the kind" * 99)
    done = report(shell)
    assert done.code == 0
    assert "Only the lines are counted." in done.err
    assert "Only the lines are counted." in text(shell)


def test_what_auto_finds_out_is_no_limit_that_was_set(shell: Shell, service: Hostile) -> None:
    rows = shell.write_rows(3)
    call = ["run", rows, "-o", "out.jsonl", *service.options[:-4]]
    for rate, told in (("7/s", "<dd>7/s</dd>"), ("auto", "By the documented quota of ")):
        assert shell.call(*call, "--rate", rate).code == 0
        assert report(shell).code == 0
        assert told in text(shell)
        shell.write_rows(1, first=4)
