"""The service's HTTP face without a socket: a call in, a `Reply` out.

Checks come in this order: credential, permission, folder, body, values, quota. So an invalid
request uses up no quota and a refused credential learns nothing about the body. The order and the
texts of 403 and 404 are assumptions: public sources don't show them. Who serves a call follows
from its path alone: all hosts of the cloud, and a machine's metadata service, are one here.

A reply that carries `accepted` must not leave before that record is safe; keeping it is the
caller's part.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate

from pipeline.codec import Json, NotJson, decode, encode
from pipeline.emulator import bodies, chance, iam, metadata, tokens
from pipeline.emulator.access import check_access
from pipeline.emulator.answers import Answer, Text, Usage
from pipeline.emulator.model import Accepted, Service
from pipeline.emulator.refusals import InSession, Malformed, NotFound, Refusal, Unimplemented
from pipeline.emulator.requests import (
    CompletionRequest,
    check_async,
    check_completion,
    check_text,
    read_completion,
    read_tokenize,
)
from pipeline.emulator.uris import ModelUri

SUBMITS = "/foundationModels/v1/completionAsync"
OPERATIONS = "/operations/"
IAM = "/iam/v1/"
METADATA = metadata.ROOT
LEDGER = "/emulator/ledger"
_SERVICES = "/foundationModels/v1/"
_EXCHANGE = f"{IAM}tokens"
_ACCOUNTS = f"{IAM}serviceAccounts/"
_STREAM_STEPS = 3
_JSON = "application/json"
_TEXT = "text/plain"


@dataclass(frozen=True, slots=True)
class Reply:
    """What to send; `accepted` is what must be kept first."""

    status: int
    headers: dict[str, str]
    body: bytes
    accepted: Accepted | None = None


@dataclass(frozen=True, slots=True)
class _Call:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    now: float
    request_id: str

    @property
    def client_request_id(self) -> str:
        return self.headers.get("x-client-request-id", "")


@dataclass(frozen=True, slots=True)
class _Said:
    """A body to send with status 200."""

    body: bytes
    accepted: Accepted | None = None
    content_type: str = _JSON


class Api:
    """Answers calls on behalf of one service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._calls = 0
        self._offers: dict[str, Callable[[_Call, Json], _Said]] = {
            "completionAsync": self._submit,
            "completion": self._complete,
            "tokenize": self._tokenize,
            "tokenizeCompletion": self._tokenize_completion,
        }

    def respond(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, now: float
    ) -> Reply:
        """Answer one call. `path` may end in a query, header names are in lower case."""
        call = self._received(method, path, headers, body, now)
        try:
            return self._reply(call, self._served(call))
        except Refusal as refusal:
            self._refusals(call.path)[refusal.status] += 1
            return self._refuse(call, refusal)

    def refuse(
        self, method: str, path: str, headers: Mapping[str, str], now: float, refusal: Refusal
    ) -> Reply:
        """Turn a call down without looking at it, in the words of whoever would answer it."""
        return self._refuse(self._received(method, path, headers, b"", now), refusal)

    def _received(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes, now: float
    ) -> _Call:
        self._calls += 1
        # The time takes part so that a restored service does not repeat its ids.
        drawn = chance.draw(self.service.config.seed, "call", self._calls, now)
        bare, _, query = path.partition("?")
        return _Call(method, bare, query, headers, body, now, chance.uuid(drawn))

    def _served(self, call: _Call) -> _Said:
        if call.path == LEDGER:
            return self._show_ledger(call)
        if call.path.startswith(OPERATIONS):
            return self._polled(call)
        if call.path.startswith(IAM):
            return self._identified(call)
        if call.path.startswith(METADATA):
            return self._looked_up(call)
        return self._offered(call)

    def _refusals(self, path: str) -> Counter[int]:
        ledger = self.service.ledger
        if path.startswith(OPERATIONS):
            return ledger.refused_polls
        if path in (_EXCHANGE, metadata.TOKEN):
            return self.service.issued.refused
        return ledger.refused_submits if path == SUBMITS else ledger.refused_others

    def _offered(self, call: _Call) -> _Said:
        offer = self._offers.get(call.path.removeprefix(_SERVICES))
        if offer is None or not call.path.startswith(_SERVICES):
            raise NotFound("Not Found")
        _expect(call, "POST")
        check_access(self.service, call.headers, call.now)
        try:
            return offer(call, decode(call.body))
        except NotJson as error:
            raise Malformed(str(error)) from None

    def _worded(self, call: _Call, refusal: Refusal) -> Json:
        if call.path.startswith((OPERATIONS, IAM)):
            return bodies.flat(refusal, call.request_id)
        match refusal:
            case Malformed():
                return bodies.doubled(refusal)
            case NotFound() | Unimplemented():
                return bodies.flat(refusal, call.request_id)
            case InSession():
                return bodies.nested(refusal, f"{self._session(call)}: {refusal}")
            case _:
                return bodies.nested(refusal, str(refusal))

    def _session(self, call: _Call) -> str:
        internal = chance.uuid(chance.draw(0, "session", call.request_id))
        return (
            f"Error in session internal_id={internal}&request_id={call.request_id}"
            f"&client_request_id={call.client_request_id}&folder_id={self.service.config.folder}"
        )

    def _identified(self, call: _Call) -> _Said:
        if call.path == _EXCHANGE:
            _expect(call, "POST")
            return self._exchange(call)
        if not call.path.startswith(_ACCOUNTS):
            raise NotFound("Not Found")
        _expect(call, "GET")
        account = call.path.removeprefix(_ACCOUNTS)
        iam.check_account(self.service, call.headers, account, call.now)
        return _Said(encode(bodies.service_account(account, self.service.config.folder)))

    def _exchange(self, call: _Call) -> _Said:
        try:
            token = iam.exchange(self.service, decode(call.body), call.now)
        except NotJson as error:
            raise Malformed(str(error)) from None
        return _Said(encode(bodies.iam_token(token, self.service.said(token.ends))))

    def _looked_up(self, call: _Call) -> _Said:
        _expect(call, "GET")
        match metadata.read(self.service, call.path, call.headers, call.now):
            case str(text):
                return _Said(text.encode(), content_type=_TEXT)
            case token:
                return _Said(encode(bodies.access_token(token, call.now)))

    def _polled(self, call: _Call) -> _Said:
        operation_id, colon, verb = call.path.removeprefix(OPERATIONS).partition(":")
        if verb not in ("", "cancel") or (colon and not verb):
            raise NotFound("Not Found")
        # The references say GET for a cancellation, the guide says POST.
        _expect(call, "GET", *(["POST"] if verb else []))
        check_access(self.service, call.headers, call.now)
        if verb:
            self.service.cancel(operation_id, call.now)
        return self._shown(operation_id, call.now)

    def _shown(self, operation_id: str, now: float) -> _Said:
        state = self.service.poll(operation_id, now)
        return _Said(encode(bodies.operation(state, self.service.created_by)))

    def _submit(self, call: _Call, body: Json) -> _Said:
        request = self._checked(body)
        check_async(request)
        accepted = self.service.submit(request, call.body, call.client_request_id, call.now)
        state = self.service.at_once(accepted)
        return _Said(encode(bodies.operation(state, self.service.created_by)), accepted)

    def _complete(self, _: _Call, body: Json) -> _Said:
        request = self._checked(body)
        answer = self.service.complete(request)
        steps = [*_growing(answer), answer] if request.stream else [answer]
        return _Said(b"\n".join(encode({"result": bodies.completion(step)}) for step in steps))

    def _tokenize(self, call: _Call, body: Json) -> _Said:
        request = read_tokenize(body)
        uri = ModelUri.parse(request.model_uri)
        uri.check(self.service.config.folder, self.service.config.models)
        check_text(request.text)
        return self._tokens(call, tokens.tokenize(request.text), uri.version)

    def _tokenize_completion(self, call: _Call, body: Json) -> _Said:
        request = self._checked(body)
        version = ModelUri.parse(request.model_uri).version
        return self._tokens(call, tokens.conversation(request.turns()), version)

    def _tokens(self, call: _Call, found: Iterable[tokens.Token], version: str) -> _Said:
        self.service.spend_tokenizer_call(call.now)
        return _Said(encode(bodies.tokenized(found, version)))

    def _checked(self, body: Json) -> CompletionRequest:
        request = read_completion(body)
        check_completion(request, self.service.config.folder, self.service.config.models)
        return request

    def _show_ledger(self, call: _Call) -> _Said:
        return _Said(encode(bodies.ledger(self.service, summary=call.query == "summary=1")))

    def _reply(self, call: _Call, said: _Said) -> Reply:
        return Reply(200, self._headers(call, said.content_type), said.body, said.accepted)

    def _refuse(self, call: _Call, refusal: Refusal) -> Reply:
        if call.path.startswith(METADATA):
            return Reply(refusal.status, self._headers(call, _TEXT), f"{refusal}\n".encode())
        body = encode(self._worded(call, refusal))
        return Reply(refusal.status, self._headers(call, _JSON), body)

    def _headers(self, call: _Call, content_type: str) -> dict[str, str]:
        date = formatdate(self.service.said(call.now), usegmt=True)
        headers = {"content-type": content_type, "date": date}
        if call.path.startswith(METADATA):
            return headers | dict([metadata.FLAVOR])
        return headers | self._traced(call)

    def _traced(self, call: _Call) -> dict[str, str]:
        trace = chance.draw(0, "trace", call.request_id).hex()
        headers = {
            "server": "ycalb",
            "x-request-id": call.request_id,
            "x-server-trace-id": f"{trace[:16]}:{trace[16:32]}:{trace[32:48]}:1",
        }
        if call.client_request_id:
            headers["x-client-request-id"] = call.client_request_id
        return headers


def _expect(call: _Call, *methods: str) -> None:
    if call.method not in methods:
        raise Unimplemented("Method Not Allowed")


def _growing(answer: Answer) -> Iterable[Answer]:
    if not isinstance(answer.said, Text):
        return
    size = tokens.count(answer.said.text)
    for limit in range(size // _STREAM_STEPS, size, max(size // _STREAM_STEPS, 1)):
        said = Text(tokens.cut(answer.said.text, limit))
        usage = Usage(answer.usage.input, limit, 0)
        yield replace(answer, said=said, status="PARTIAL", usage=usage)
