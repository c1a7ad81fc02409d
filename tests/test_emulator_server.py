import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from pipeline.emulator.model import Config
from pipeline.emulator.server import embedded, serve
from pipeline.errors import BadData, BadSettings
from tests.emulator_caller import KEY, SUBMIT, request

QUICK = Config(latency_median=0.0, latency_sigma=0.0, submit_rates=(), poll_rates=())


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with embedded(QUICK, None) as url, connected(url) as client:
        yield client


def connected(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers=KEY, timeout=10, trust_env=False)


def submitted(client: httpx.Client, text: str = "ping") -> str:
    operation_id: str = client.post(SUBMIT, json=request(text)).raise_for_status().json()["id"]
    return operation_id


def test_a_request_travels_through_a_socket_and_back(client: httpx.Client) -> None:
    operation_id = submitted(client, "Быть или не быть?")
    reply = client.get(f"/operations/{operation_id}", headers={"X-Client-Request-Id": "mine"})
    assert "Быть или не быть?" in reply.text
    assert reply.headers["x-client-request-id"] == "mine"
    assert reply.headers.get_list("server") == ["ycalb"]


def test_query_and_cancel_arrive_as_they_were_written(client: httpx.Client) -> None:
    operation_id = submitted(client)
    assert client.get(f"/operations/{operation_id}:cancel").status_code == 400
    assert "operations" not in client.get("/emulator/ledger?summary=1").json()


def test_a_body_of_several_megabytes_arrives_whole(client: httpx.Client) -> None:
    messages = [{"role": "user", "text": "я" * 100_000} for _ in range(20)]
    reply = client.post(SUBMIT, json=request(messages=messages))
    assert "number of input tokens must be no more than 32768" in reply.text


def test_many_connections_are_served_at_once(client: httpx.Client) -> None:
    with ThreadPoolExecutor(20) as pool:
        ids = list(pool.map(lambda n: submitted(client, f"row {n}"), range(200)))
    assert len(set(ids)) == 200
    assert client.get("/emulator/ledger?summary=1").json()["submits"] == 200


def test_it_stops_soon_although_a_connection_is_kept_open_and_one_is_half_sent() -> None:
    with embedded(QUICK, None) as url:
        host, port = url.removeprefix("http://").split(":")
        half = socket.create_connection((host, int(port)))
        half.sendall(b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf")
        client = connected(url)
        submitted(client)
        began = time.perf_counter()
    assert time.perf_counter() - began < 2
    assert not any(thread.name == "emulator" for thread in threading.enumerate())
    with pytest.raises(httpx.TransportError):
        submitted(client)
    client.close()
    half.close()


def test_it_says_nothing_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    with embedded(QUICK, None) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as garbage:
            garbage.sendall(b"garbage\r\n\r\n")
            garbage.recv(1000)
        with connected(url) as client:
            submitted(client)
    assert capfd.readouterr() == ("", "")


def test_it_stops_when_the_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), embedded(QUICK, None):
        raise ZeroDivisionError
    assert not any(thread.name == "emulator" for thread in threading.enumerate())


def test_operations_outlive_the_server_in_its_store(tmp_path: Path) -> None:
    store = tmp_path / "results.jsonl.emulator"
    with embedded(QUICK, store) as url, connected(url) as client:
        operation_id = submitted(client)
        answer = client.get(f"/operations/{operation_id}").json()
    with embedded(QUICK, store) as url, connected(url) as client:
        assert client.get(f"/operations/{operation_id}").json() == answer
        assert submitted(client) != operation_id
    assert len(store.read_bytes().splitlines()) == 2


def test_a_record_is_on_disk_when_its_answer_arrives(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with embedded(QUICK, store) as url, connected(url) as client:
        for _ in range(3):
            operation_id = submitted(client)
            assert json.loads(store.read_bytes().splitlines()[-1])["operation_id"] == operation_id


def test_a_foreign_file_is_not_taken_for_a_store(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.write_bytes(b"not ours\n")
    with pytest.raises(BadData, match="store line 1"), embedded(QUICK, store):
        pass


def test_an_address_in_use_is_a_bad_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BadSettings, match=f"127.0.0.1 port {port}"):
            serve("127.0.0.1", port, QUICK, None, print)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_served_emulator_ends_cleanly_on_a_signal(number: signal.Signals) -> None:
    program = """
        from pipeline.emulator.model import Config
        from pipeline.emulator.server import serve
        serve("127.0.0.1", 0, Config(), None, lambda url: print(url, flush=True))
        print("ended", flush=True)
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as served:
        assert served.stdout is not None
        with connected(served.stdout.readline().strip()) as client:
            submitted(client)
            os.kill(served.pid, number)
            out, err = served.communicate(timeout=10)
    assert (out, err, served.returncode) == ("ended\n", "", 0)
