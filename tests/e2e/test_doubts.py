"""POSTs whose answer does not come: counted, shown, sent again last or held."""

import json
import threading
from collections import Counter

import pytest

from tests.e2e.command import Shell
from tests.e2e.hostile import BAD_GATEWAY, TOKENIZE, Fault, HangUp, Hostile, Say, Seen, at_rows
from tests.oracle import check, whole_lines

NO_ID = Say(200, b'{"done": false}', taken=True)
LOST_PAGE = Say(502, BAD_GATEWAY.body, BAD_GATEWAY.headers, taken=True)
EMPTY = Say(200, b"", taken=True)
CONCURRENCY = 8
FAULTS = {"hang-up": HangUp(), "200 without id": NO_ID, "502 page": LOST_PAGE, "empty": EMPTY}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.promise("P5")
def test_a_doubt_is_counted_and_its_row_sent_again_after_all_others(
    shell: Shell, service: Hostile, fault: Fault
) -> None:
    rows, output = shell.write_rows(30), shell.path("out.jsonl")
    service.fault = lambda number, _: fault if number == 4 else None
    done = shell.call("run", rows, "-o", output, *service.options)
    assert done.code == 0, done.err
    story = check(rows, output, service.ledger())
    assert (story.doubts, story.paid_twice) == (1, 1)
    submits = service.submits
    assert len(submits) == 31
    # Lanes race one another to the service: last means among the last that were in flight.
    assert submits[3].prompt in [seen.prompt for seen in submits[-CONCURRENCY:]]
    requests = {seen.headers["x-client-request-id"] for seen in submits}
    assert len(requests) == 31
    assert Counter(result["submits"] for result in story.results.values()) == {1: 29, 2: 1}
    assert "Submits whose acceptance can't be known: 1; at worst they cost " in done.out
    assert float(story.totals["doubt_cost"]) > 0


@pytest.mark.promise("P1")
@pytest.mark.promise("P5")
def test_a_doubt_is_held_where_that_is_asked_for(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(10), shell.path("out.jsonl")
    service.fault = lambda number, _: HangUp() if number in {2, 5} else None
    call = ["run", rows, "-o", output, *service.options, "--on-doubt", "fail", "--json"]
    done = shell.call(*call)
    assert done.code == 4, done.err
    story = check(rows, output, service.ledger())
    assert (story.doubts, story.paid_twice, story.totals["failed"]) == (2, 0, 0)
    assert [failed["error"]["stage"] for failed in story.failures.values()] == ["doubt", "doubt"]
    assert done.json["exit"] == 4
    again = shell.call(*call)
    assert again.code == 4
    assert len(service.submits) == 10


@pytest.mark.promise("P1")
def test_a_held_doubt_outranks_a_failed_row(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(5), shell.path("out.jsonl")
    with rows.open("a") as file:
        file.write("[]\n")
    service.fault = lambda number, _: HangUp() if number == 2 else None
    done = shell.call("run", rows, "-o", output, *service.options, "--on-doubt", "fail")
    assert done.code == 4, done.err
    assert "1 failed, 1 held in doubt" in done.out
    stages = {line["error"]["stage"] for line in whole_lines(shell.path("out.errors.jsonl"))}
    assert stages == {"doubt", "input"}


@pytest.mark.promise("P5")
def test_a_row_is_submitted_three_times_at_most(shell: Shell, service: Hostile) -> None:
    rows, output = shell.write_rows(8), shell.path("out.jsonl")
    service.fault = at_rows({3: HangUp()})
    # Few at once, so that others are answered after it first failed: three failures in a row, with
    # no answer between, would be an outage, which costs no attempt.
    done = shell.call("run", rows, "-o", output, *service.options, "--concurrency", "2")
    assert done.code == 4, done.err
    posts = Counter(seen.prompt for seen in service.submits)
    assert sorted(posts.values()) == [1] * 7 + [3]
    story = check(rows, output, service.ledger())
    assert (story.doubts, story.paid_twice) == (3, 2)
    assert story.failures[3]["error"]["code"] == "attempts"


@pytest.mark.parametrize(("kind", "allowed"), [("PerSecond", 10), ("PerHour", 5000)])
@pytest.mark.promise("P13")
def test_a_429_with_a_time_costs_no_attempt_and_is_told_once(
    shell: Shell, service: Hostile, kind: str, allowed: int
) -> None:
    rows, output = shell.write_rows(30), shell.path("out.jsonl")
    quota = f"ai.textGenerationAsync{kind}"
    message = f"{quota}.rate rate quota limit exceed: allowed {allowed} requests"
    body = json.dumps({"error": {"grpcCode": 8, "httpCode": 429, "message": message}}).encode()
    service.fault = lambda number, _: (
        Say(429, body, {"retry-after": "1"}) if 5 <= number <= 9 else None
    )
    done = shell.call("run", rows, "-o", output, *service.options)
    assert done.code == 0, done.err
    story = check(rows, output, service.ledger())
    assert story.doubts == 0
    assert {result["submits"] for result in story.results.values()} == {1}
    assert done.err.count(f"({quota})") == 1


@pytest.mark.parametrize("status", [400, 413, 422, 418])
def test_a_row_that_is_refused_fails_alone_with_the_services_words(
    shell: Shell, service: Hostile, status: int
) -> None:
    rows, output = shell.write_rows(10), shell.path("out.jsonl")
    body = json.dumps({"error": {"grpcCode": 3, "message": "too rude a question"}}).encode()
    service.fault = lambda number, _: (
        Say(status, body, {"x-request-id": "req-1"}) if number == 4 else None
    )
    done = shell.call("run", rows, "-o", output, *service.options)
    assert done.code == 3, done.err
    (failed,) = check(rows, output, service.ledger()).failures.values()
    assert failed["error"] == {
        "stage": "submit",
        "code": "INVALID_ARGUMENT",
        "message": "too rude a question",
        "request_id": "req-1",
    }


@pytest.mark.promise("P12")
def test_a_stretch_of_502_is_an_outage_and_costs_no_row_an_attempt(
    shell: Shell, service: Hostile
) -> None:
    rows, output = shell.write_rows(40), shell.path("out.jsonl")

    def fault(number: int, _: Seen) -> Fault | None:
        probed = any(seen.path == TOKENIZE for seen in list(service.seen))
        if number <= 5 or probed:
            return None
        # An acceptance that is heard between two of them would end their stretch.
        while len({seen.path for seen in list(service.seen) if seen.method == "GET"}) < 5:
            threading.Event().wait(0.01)
        return BAD_GATEWAY

    service.fault = fault
    done = shell.call("run", rows, "-o", output, *service.options)
    assert done.code == 0, done.err
    story = check(rows, output, service.ledger())
    # Three make an outage; those in flight then are doubts too.
    assert 3 <= story.doubts <= 2 + 8
    assert story.failures == {}
    assert "can't be reached" in done.err
    assert "is back" in done.err
