"""What the log tells of: names and fields for programs, sentences for people."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import log
from pipeline.auth.credentials import NoCredentialError
from pipeline.events import ACCEPTED, CREDENTIAL, EVENTS, NO_CREDENTIAL, WRITTEN, Event
from tests.scratch import table

_DOC = Path(__file__).parent.parent / "docs" / "watching.md"


@pytest.fixture
def logger(tmp_path: Path) -> Iterator[logging.Logger]:
    logger = logging.getLogger("yagpt-batch")
    before = logger.handlers, logger.level, logger.propagate
    log.set_up(0, tmp_path / "log")
    yield logger
    for one in logger.handlers:
        one.close()
    logger.handlers, level, logger.propagate = before
    # It remembers which levels it tells of; this makes it forget.
    logger.setLevel(level)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_every_sentence_takes_its_fields(event: Event) -> None:
    given = tuple(range(1, len(event.fields) + 1))
    message = logging.LogRecord("", 20, "", 0, event, given, None).getMessage()
    assert "%" not in message
    assert message


def test_every_event_is_written_down_with_its_fields() -> None:
    rows = table(_DOC, "## Events")
    listed = {name.strip("`"): fields.replace("`", "") for name, fields, _ in rows}
    known = {e.name: [field for field in e.fields if field[0] != "_"] for e in EVENTS}
    assert listed == {name: ", ".join(fields) for name, fields in known.items()} | {"note": ""}


def _events(tmp_path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


def test_a_log_file_has_the_fields_beside_the_sentence(
    logger: logging.Logger, tmp_path: Path
) -> None:
    logger.info(ACCEPTED, 17, "d7q", 0.123456)
    logger.info(WRITTEN, 17, "d7q", None)
    logger.warning(NO_CREDENTIAL, "the test", NoCredentialError("gone"))
    logger.info(CREDENTIAL, "the test", ", and lasts", "2026-11-21T00:00:00Z")
    accepted, written, missing, found = _events(tmp_path)
    assert accepted.pop("at")
    assert accepted == {
        "level": "info",
        "event": "accepted",
        "message": "← line 17, operation d7q",
        "line": 17,
        "operation_id": "d7q",
        "seconds": 0.123,
    }
    assert (written["event"], written["seconds"]) == ("written", None)
    assert (missing["level"], missing["why"]) == ("warning", "gone")
    assert found["message"] == "a credential of the test, and lasts"
    assert found.keys() == {"at", "level", "event", "message", "source", "ends_at"}


def test_what_is_no_event_is_a_note(logger: logging.Logger, tmp_path: Path) -> None:
    logger.warning("! %s", "something")
    (note,) = _events(tmp_path)
    assert (note["event"], note["message"]) == ("note", "! something")
