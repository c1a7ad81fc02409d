"""What really arrives of a call that goes wrong."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import click
import httpx
import pytest

from pipeline.cli.staged import FaultKind, OffsetKind
from pipeline.emulator.model import Config
from pipeline.emulator.schedules import TAKEN, Fault
from pipeline.emulator.server import embedded
from tests.emulator_caller import KEY, SUBMIT, request

# A connection on which something went wrong may be used again just before its end is noticed.
FOR_ONCE = {"connection": "close"}
QUICK = Config(
    latency_median=0.0, latency_sigma=0.0, submit_rates=(), poll_rates=(), drip=0.001, seed=1
)


@contextmanager
def misled(*texts: str, store: Path | None = None) -> Iterator[httpx.Client]:
    """A client of a service with faults."""
    config = replace(QUICK, faults=tuple(map(Fault.parse, texts)))
    with (
        embedded(config, store) as url,
        httpx.Client(base_url=url, headers=KEY, timeout=10, trust_env=False) as client,
    ):
        yield client


def submit(client: httpx.Client, **how: Any) -> httpx.Response:
    return client.post(SUBMIT, json=request(), **how)


def ledger(client: httpx.Client) -> Any:
    return client.get("/emulator/ledger").json()


@contextmanager
def sent(url: httpx.URL) -> Iterator[socket.socket]:
    """A connection on which a submit has been sent, and nothing been read."""
    body = json.dumps(request()).encode()
    head = f"POST {SUBMIT} HTTP/1.1\r\nhost: x\r\nauthorization: Api-Key k\r\n"
    head += f"content-length: {len(body)}\r\n\r\n"
    with socket.create_connection((url.host, url.port or 0), timeout=10) as connection:
        connection.sendall(head.encode() + body)
        yield connection


def received(client: httpx.Client) -> tuple[bytes, bytes]:
    """Head and body of the answer to a submit, up to the connection's end."""
    with sent(client.base_url) as connection, connection.makefile("rb") as file:
        head, _, body = file.read().partition(b"\r\n\r\n")
    return head, body


def stated_length(head: bytes) -> int:
    lines = head.decode().lower().split("\r\n")
    (length,) = [line for line in lines if line.startswith("content-length: ")]
    return int(length.removeprefix("content-length: "))


@pytest.mark.parametrize(("kind", "taken"), [("reset-before", 0), ("reset-after", 1)])
def test_a_connection_is_reset_before_or_after_the_call_was_taken(kind: str, taken: int) -> None:
    with misled(f"{kind}@1-2") as client:
        with sent(client.base_url) as connection, pytest.raises(ConnectionResetError):
            connection.recv(1)
        with pytest.raises(httpx.ReadError):
            submit(client)
        assert submit(client).status_code == 200
        assert ledger(client)["submits"] == 2 * taken + 1
        assert ledger(client)["faults"] == {kind: 2}


@pytest.mark.parametrize(("kind", "taken"), [("hang-before", 0), ("hang", 1)])
def test_a_call_is_never_answered_whether_or_not_it_was_taken(kind: str, taken: int) -> None:
    with misled(f"{kind}@1-2") as client:
        with pytest.raises(httpx.ReadTimeout):
            submit(client, timeout=0.2)
        with sent(client.base_url) as connection:
            connection.settimeout(0.05)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            assert submit(client).status_code == 200
        assert ledger(client)["submits"] == 2 * taken + 1


def test_an_answer_arrives_byte_by_byte_and_whole() -> None:
    with misled("drip@1") as client, client.stream("POST", SUBMIT, json=request()) as reply:
        parts = list(reply.iter_raw())
    assert json.loads(b"".join(parts))["id"].startswith("d7q")
    assert len(parts) > 10


def test_who_leaves_while_it_drips_leaves_the_others_alone() -> None:
    with misled("drip@1-2") as client:
        with sent(client.base_url) as connection:
            connection.recv(1)
        assert submit(client).json()["done"] is False
        assert submit(client).json()["done"] is False


def test_a_body_ends_before_its_stated_length() -> None:
    with misled("truncate@1-2") as client:
        head, body = received(client)
        assert stated_length(head) // 2 == len(body) > 0
        with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
            submit(client)
        assert submit(client).json()["id"]


def test_a_body_goes_on_after_its_stated_length() -> None:
    with misled("length@1-2") as client:
        head, body = received(client)
        assert stated_length(head) == len(body) // 2
        assert json.loads(body)["id"]
        with pytest.raises(json.JSONDecodeError):
            submit(client, headers=FOR_ONCE).json()
        assert submit(client).json()["id"]


def test_a_body_that_says_gzip_can_t_be_unpacked() -> None:
    with misled("bad-gzip@1") as client:
        with pytest.raises(httpx.DecodingError):
            submit(client)
        assert submit(client).json()["id"]


@pytest.mark.parametrize("status", ["500", "502", "503", "504"])
def test_an_error_arrives_whether_or_not_the_call_was_taken(status: str) -> None:
    with misled(f"{status}@1", f"{status}-after@2") as client:
        before, after = submit(client), submit(client)
        assert before.status_code == after.status_code == int(status)
        is_page = status in ("502", "504")
        assert after.headers["content-type"] == ("text/html" if is_page else "application/json")
        assert ledger(client)["submits"] == 1


def test_refusals_arrive_with_what_they_say_of_waiting() -> None:
    with misled("401@1", "429@2", "429-seconds@3", "429-date@4", "429-absurd@5") as client:
        replies = [submit(client) for _ in range(5)]
    assert [reply.status_code for reply in replies] == [401, 429, 429, 429, 429]
    assert ["retry-after" in reply.headers for reply in replies] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_a_page_or_an_answer_without_an_id_arrives_with_status_200() -> None:
    with misled("html@1", "no-id@2") as client:
        page, nameless = submit(client), submit(client)
        assert (page.status_code, nameless.status_code) == (200, 200)
        assert page.text.startswith("<html>")
        assert "id" not in nameless.json()
        assert ledger(client)["submits"] == 2


def test_an_operation_s_fault_arrives_with_its_poll() -> None:
    with misled("fails") as client:
        operation_id = submit(client).json()["id"]
        assert client.get(f"/operations/{operation_id}").json()["error"]["code"] == 13


def test_what_was_taken_is_on_disk_whatever_is_seen_of_it(tmp_path: Path) -> None:
    store = tmp_path / "store"
    kinds = [kind for kind in TAKEN if kind != "hang"]
    faults = [f"{kind}:submits@{number}" for number, kind in enumerate(kinds, 1)]
    with misled(*faults, store=store) as client:
        for number in range(1, len(kinds) + 1):
            try:
                submit(client, headers=FOR_ONCE)
            except httpx.HTTPError:
                assert len(store.read_bytes().splitlines()) == number
        kept = [json.loads(line)["operation_id"] for line in store.read_bytes().splitlines()]
        assert kept == [entry["operation_id"] for entry in ledger(client)["operations"]]
        assert len(kept) == len(kinds)


def test_it_stops_soon_although_calls_wait_for_ever_and_answers_none_of_them() -> None:
    faults = tuple(map(Fault.parse, ["drip@1", "hang:submits", "hang-before"]))
    with ExitStack() as connections:
        with embedded(replace(QUICK, drip=60.0, faults=faults), None) as url:
            dripping = connections.enter_context(sent(httpx.URL(url)))
            assert dripping.recv(1) == b"H"
            silent = [connections.enter_context(sent(httpx.URL(url))) for _ in range(2)]
            began = time.perf_counter()
        assert time.perf_counter() - began < 1
        assert [connection.recv(1) for connection in silent] == [b"", b""]
    assert not any(thread.name == "emulator" for thread in threading.enumerate())


def test_faults_are_no_news_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with misled("reset-after@1", "truncate@2", "length@3", "hang@4") as client:
        for _ in range(4):
            with sent(client.base_url) as connection:
                connection.settimeout(0.05)
                try:
                    connection.recv(100)
                except OSError:
                    continue
    assert capfd.readouterr() == ("", "")


def test_every_reply_has_one_date_and_it_is_that_of_the_service_s_clock() -> None:
    with embedded(replace(QUICK, skew=-3600.0), None) as url:
        reply = httpx.get(f"{url}/operations/d7q", headers=KEY, trust_env=False)
    (date,) = reply.headers.get_list("date")
    behind = time.time() - parsedate_to_datetime(date).timestamp()  # noqa: TID251
    assert 3590 < behind < 3620


# The command line


def test_the_command_s_options_make_the_service_misbehave() -> None:
    options = "--port 0 --fault no-id:submits@1 --fault 502:polls@1 --skew -1h --token-life 0s"
    command = [sys.executable, "-m", "pipeline", "emulator", *options.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        url = served.stdout.readline().split()[-1]
        with httpx.Client(base_url=url, headers=KEY, trust_env=False) as client:
            assert "id" not in submit(client).json()
            operation = submit(client)
            path = f"/operations/{operation.json()['id']}"
            assert [client.get(path).status_code for _ in range(2)] == [502, 200]
            token = {"authorization": "Bearer t1.t"}
            assert submit(client, headers=token).status_code == 401
        served.terminate()
    behind = time.time() - parsedate_to_datetime(operation.headers["date"]).timestamp()  # noqa: TID251
    assert 3590 < behind < 3660


def test_an_operation_is_kept_as_long_as_the_command_says() -> None:
    command = [sys.executable, "-m", "pipeline", "emulator", "--port", "0", "--retention", "0s"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        url = served.stdout.readline().split()[-1]
        with httpx.Client(base_url=url, headers=KEY, trust_env=False) as client:
            path = f"/operations/{submit(client).json()['id']}"
            assert client.get(path).status_code == 404
        served.terminate()


def test_an_offset_may_be_negative_and_a_duration_it_must_be() -> None:
    kind = OffsetKind()
    said = [kind.convert(text, None, None) for text in ("-90s", "1h", "0s")]
    assert said == [-90, 3600, 0]
    for wrong in ("--1s", "-", "90"):
        with pytest.raises(click.BadParameter, match="is no duration"):
            kind.convert(wrong, None, None)


def test_what_is_no_fault_is_refused_with_what_would_be_one() -> None:
    assert FaultKind().convert("hang:polls", None, None) == Fault.parse("hang:polls")
    with pytest.raises(click.BadParameter, match="did you mean drip"):
        FaultKind().convert("dripp", None, None)
