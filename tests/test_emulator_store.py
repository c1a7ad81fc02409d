import json
from pathlib import Path

import pytest

from pipeline.emulator.api import Api
from pipeline.emulator.model import Accepted
from pipeline.emulator.store import Store
from pipeline.errors import BadData, StorageFailed
from pipeline.pacing.rates import Rate
from tests.emulator_caller import KEY, START, Caller, request

PROMPTS = ["ping", "Быть или не быть?", "строка\nвторая 🌦", "x" * 100_000]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl.emulator"


def fill(caller: Caller, path: Path, prompts: list[str]) -> list[str]:
    """Submit as the server does: each record is kept before its answer counts."""
    ids = []
    with Store(path) as store:
        for second, prompt in enumerate(prompts):
            headers = KEY | {"x-client-request-id": f"row {second}"}
            reply = caller.post(request(prompt), at=START + second, headers=headers)
            assert reply.accepted is not None
            store.append(reply.accepted)
            ids.append(reply.accepted.operation_id)
    return ids


def records(path: Path) -> list[Accepted]:
    with Store(path) as store:
        return list(store.load())


def test_a_restored_service_goes_on_as_the_one_before(path: Path) -> None:
    before = Caller(latency_sigma=0.7)
    ids = fill(before, path, PROMPTS)
    after = Caller(iter(records(path)), latency_sigma=0.7)
    assert after.ledger()["operations"] == before.ledger()["operations"]
    for operation_id in ids:
        late = START + 3600
        assert after.poll(operation_id, at=late) == before.poll(operation_id, at=late)
    assert after.submit("next", at=START + 99) == before.submit("next", at=START + 99)


def test_a_restored_service_remembers_its_quotas_windows(path: Path) -> None:
    fill(Caller(), path, ["ping"] * 3)
    after = Caller(iter(records(path)), submit_rates=(Rate(3, 60),))
    assert after.post(request(), at=START + 59).status == 429
    assert after.post(request(), at=START + 60).status == 200


def test_a_torn_last_line_is_dropped_and_the_next_one_stands_whole(path: Path) -> None:
    fill(Caller(), path, PROMPTS)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for torn in (whole[:-1], whole[: -len(lines[-1]) + 1], whole[:-70_000], whole + b"{"):
        path.write_bytes(torn)
        kept = records(path)
        assert path.read_bytes() == b"".join(lines[: len(kept)])
        assert len(kept) == (4 if torn == whole + b"{" else 3)
        with Store(path) as store:
            store.append(kept[0])
        assert records(path) == [*kept, kept[0]]


def test_a_file_of_one_torn_line_is_an_empty_one(path: Path) -> None:
    path.write_bytes(b'{"operation_id": "d7q')
    assert records(path) == []
    assert path.read_bytes() == b""


def test_a_line_that_is_not_ours_is_named(path: Path) -> None:
    fill(Caller(), path, ["ping"])
    with path.open("ab") as file:
        file.write(b'{"prompt": "not ours"}\n')
    with pytest.raises(BadData, match=r"\.emulator line 2 is no operation"):
        records(path)


def test_a_record_is_one_line_of_json_that_only_its_owner_can_read(path: Path) -> None:
    (operation_id,) = fill(Caller(), path, ["строка\nвторая"])
    (line,) = path.read_bytes().splitlines()
    kept = json.loads(line)
    assert kept["operation_id"] == operation_id
    assert json.loads(kept["request"]) == request("строка\nвторая")
    assert path.stat().st_mode & 0o777 == 0o600


def test_escaped_lone_surrogates_survive_a_restart(path: Path) -> None:
    caller = Caller()
    body = json.dumps(request("\ud83d?")).encode()
    with Store(path) as store:
        reply = caller.post(body)
        assert reply.accepted is not None
        store.append(reply.accepted)
    (record,) = records(path)
    assert record.body == body
    operation = Caller(iter([record])).poll(record.operation_id, at=START + 60)
    assert operation["done"] is True


def test_a_store_that_can_t_be_opened_says_where(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match=r"can't open .*missing/store: the folder .*missing "):
        Store(tmp_path / "missing" / "store")


def test_nothing_is_kept_of_a_refused_submit() -> None:
    caller = Caller()
    replies = [Api(caller.service).respond("POST", "/", KEY, b"", START), caller.post(b"{")]
    assert [reply.accepted for reply in replies] == [None, None]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_a_store_on_a_full_disk_fails_and_stays_closed() -> None:
    accepted = Caller().post(request()).accepted
    assert accepted is not None
    with Store(Path("/dev/full")) as store:
        for _ in range(2):
            with pytest.raises(StorageFailed, match="can't be written"):
                store.append(accepted)
