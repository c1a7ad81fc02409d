"""Calls as they are made, and what is made of every way in which one can come back."""

import asyncio
from collections.abc import Mapping

import pytest

from pipeline.api import outcomes
from pipeline.api.outcomes import CountOutcome, PollOutcome, Problem, SubmitOutcome
from pipeline.auth.credentials import Credential
from pipeline.auth.keeper import Keeper
from pipeline.auth.local_tokens import Fixed
from pipeline.calls.service import POLL_TIMEOUT, Account, Service
from pipeline.clock import Clock
from pipeline.codec import Json, encode
from pipeline.network.carrier import NoAnswerError, NotSentError, Reply, UndecodableError
from pipeline.network.endpoints import Endpoints
from tests.builders import NOW, OPERATION, fields, operation, recorded, refusal

SECRET = "AQVN-not-for-anybody-s-eyes"  # noqa: S105 - nobody's


class Canned:
    """Answers every call alike, and remembers the headers it came with."""

    def __init__(self, end: Reply | Exception) -> None:
        self._end = end
        self.headers: Mapping[str, str] = {}

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Reply:
        del method, url, body, timeout
        self.headers = headers
        if isinstance(self._end, Exception):
            raise self._end
        return self._end

    async def close(self) -> None: ...


async def service(end: Reply | Exception) -> Service:
    source = Fixed("the test", Credential("Api-Key", SECRET, is_users=False))
    carrier, clock = Canned(end), Clock(lambda: 0.0, NOW)
    keeper = Keeper(source, carrier, clock, patience=0)
    await keeper.obtain()
    return Service(carrier, Endpoints(), Account(keeper, "b1g"), clock)


def submitted(end: Reply | Exception) -> SubmitOutcome:
    async def call() -> SubmitOutcome:
        return await (await service(end)).submit(b"{}", "r-1")

    return asyncio.run(call())


def polled(end: Reply | Exception) -> PollOutcome:
    async def call() -> PollOutcome:
        return await (await service(end)).poll(OPERATION, POLL_TIMEOUT)

    return asyncio.run(call())


def counted(end: Reply | Exception) -> CountOutcome:
    async def call() -> CountOutcome:
        return await (await service(end)).count_tokens(b"{}")

    return asyncio.run(call())


def problem(outcome: object) -> Problem:
    found = getattr(outcome, "problem", None)
    assert isinstance(found, Problem)
    return found


@pytest.mark.promise("P5")
def test_what_was_not_sent_is_certainly_not_accepted() -> None:
    error = NotSentError("ConnectError: refused")
    assert submitted(error) == outcomes.NotSent(Problem("not_sent", "ConnectError: refused"))
    assert polled(error) == outcomes.NotSent(Problem("not_sent", "ConnectError: refused"))


@pytest.mark.promise("P5")
def test_a_call_without_an_answer_is_unsure_and_may_be_an_outage() -> None:
    error = NoAnswerError("ReadTimeout")
    assert submitted(error) == outcomes.Unsure(Problem("no_answer", "ReadTimeout", "r-1"))
    assert polled(error) == outcomes.Unsure(Problem("no_answer", "ReadTimeout"))


@pytest.mark.promise("P5")
def test_an_answer_that_can_t_be_decoded_is_no_outage() -> None:
    error = UndecodableError("DecodingError: incorrect header check")
    words = "DecodingError: incorrect header check"
    unsure = outcomes.Unsure(Problem("undecodable", words, "r-1"), outage=False)
    assert submitted(error) == unsure
    assert polled(error) == outcomes.Garbled(Problem("undecodable", words))


@pytest.mark.promise("P12")
@pytest.mark.parametrize(
    ("end", "answers"),
    [
        (Reply(200, {}, b"{}"), True),
        (Reply(404, {}, b""), True),
        (Reply(429, {}, b""), True),
        (UndecodableError("DecodingError"), True),
        (NotSentError("ConnectError"), False),
        (NoAnswerError("ReadTimeout"), False),
        (Reply(408, {}, b""), False),
        (Reply(499, {}, b""), False),
        (Reply(500, {}, b""), False),
        (Reply(503, {}, b""), False),
    ],
)
def test_any_answer_but_a_failure_of_the_host_proves_that_it_is_there(
    end: Reply | Exception, answers: bool
) -> None:
    async def call() -> bool:
        return await (await service(end)).probe_submits("gpt://b1g/yandexgpt")

    assert asyncio.run(call()) is answers


# Secrets.


@pytest.mark.promise("P18")
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500, 501])
@pytest.mark.parametrize(
    "body",
    [
        encode({"error": {"message": f"Api-Key {SECRET} may not", "grpcCode": 3}}),
        encode({"message": f"Api-Key {SECRET} may not", "code": 3}),
        f"<pre>authorization: Api-Key {SECRET}</pre>".encode(),
    ],
)
def test_a_refusal_that_echoes_the_credential_is_told_without_it(status: int, body: bytes) -> None:
    for outcome in submitted(Reply(status, {}, body)), polled(Reply(status, {}, body)):
        assert SECRET not in str(outcome)
        assert "Api-Key ***" in problem(outcome).message


@pytest.mark.promise("P16")
@pytest.mark.promise("P18")
def test_an_answer_is_verbatim_though_it_may_hold_words_of_the_credential() -> None:
    alternatives: Json = [{"message": {"role": "assistant", "text": SECRET}}]
    outcome = polled(Reply(200, {}, operation(response={"alternatives": alternatives})))
    assert isinstance(outcome, outcomes.Answer)
    assert outcome.text == SECRET


@pytest.mark.promise("P18")
def test_a_credential_is_never_shown() -> None:
    credential = Credential("Api-Key", SECRET, is_users=False)
    assert SECRET not in repr(credential)
    assert SECRET not in repr(Fixed("YC_API_KEY", credential))
    assert SECRET not in str(credential)


@pytest.mark.promise("P18")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"not for {SECRET}, whoever asks", "not for *** whoever asks"),
        (f"'{SECRET}' and \"{SECRET}\"", "'***' and \"***\""),
        (f"cut off: {SECRET[:8]}", "cut off: ***"),
        (f"escaped: {SECRET[:12]}\\u003d and more", "escaped: *** and more"),
        (f"a little of it: {SECRET[:7]}", f"a little of it: {SECRET[:7]}"),
        ("nothing of it", "nothing of it"),
        (f"its end: {SECRET[-12:]}", "its end: ***"),
        (f"in two: {SECRET[:9]} {SECRET[9:]}", "in two: *** ***"),
        (f"%41{SECRET[1:]}", "%41***"),
    ],
)
def test_a_long_secret_is_struck_out_from_its_first_8_characters_on(text: str, shown: str) -> None:
    assert Credential("Api-Key", SECRET, is_users=False).redact(text) == shown


@pytest.mark.promise("P18")
@pytest.mark.parametrize("length", [3, 15, 16])
def test_a_short_secret_is_struck_out_only_where_it_stands_whole(length: int) -> None:
    secret = SECRET[:length]
    credential = Credential("Api-Key", secret, is_users=False)
    assert credential.redact(f"<{secret}>") == ("<***" if length == 16 else "<***>")
    cut = secret[:-1]
    assert credential.redact(cut) == ("***" if length == 16 else cut)


@pytest.mark.promise("P18")
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_request_id_that_holds_the_credential_is_told_without_it(status: int) -> None:
    reply = Reply(status, {"x-request-id": f"of {SECRET}"}, b"no JSON")
    for outcome in submitted(reply), polled(reply):
        assert problem(outcome).request_id == "of ***"


@pytest.mark.promise("P4")
def test_an_id_is_kept_though_it_holds_the_credential() -> None:
    accepted = submitted(Reply(200, {}, encode({"id": f"d7q{SECRET}"})))
    assert accepted == outcomes.Accepted(OPERATION.__class__(f"d7q{SECRET}"))


def test_a_count_is_how_many_tokens_the_service_lists_special_ones_too() -> None:
    answered = fields(recorded("sdk_tokenize_completion")["response"])
    assert counted(Reply(200, {}, encode(answered))) == outcomes.Counted(15)
    assert counted(Reply(200, {}, b'{"tokens": []}')) == outcomes.Counted(0)


@pytest.mark.parametrize(
    "end",
    [
        NoAnswerError("ReadTimeout"),
        UndecodableError("bad gzip"),
        Reply(200, {}, b"{}"),
        Reply(200, {}, b"<html>"),
        Reply(502, {}, b"<html>"),
    ],
    ids=["no answer", "undecodable", "no tokens", "no JSON", "a gateway's"],
)
def test_a_count_that_can_not_be_read_is_no_count(end: Reply | Exception) -> None:
    assert isinstance(counted(end), outcomes.Unsure)


def test_a_count_that_was_not_sent_or_is_refused_is_told_as_for_a_submit() -> None:
    assert isinstance(counted(NotSentError("refused")), outcomes.NotSent)
    refusal_429 = refusal(
        "ai.someRequestsPerSecond.rate rate quota limit exceed: allowed 5 requests"
    )
    throttled = counted(Reply(429, {}, refusal_429))
    assert isinstance(throttled, outcomes.Throttled)
    assert throttled.throttle.allowed == 5
    refused = counted(Reply(401, {}, refusal(f"Unknown api key '{SECRET}'", 16)))
    assert isinstance(refused, outcomes.Unauthorized)
    assert SECRET not in problem(refused).message
