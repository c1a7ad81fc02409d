from typing import Any

import pytest

from tests.emulator_caller import FOLDER, KEY, SYNC, URI, Caller, recorded, request

FUNCTION = {"name": "weather", "parameters": {"type": "object"}}
TOOLS = [{"function": FUNCTION}]


def options(**values: Any) -> dict[str, Any]:
    return request(completionOptions=values)


def said(**message: Any) -> dict[str, Any]:
    return request(messages=[message])


MALFORMED: list[tuple[object, str]] = [
    (b"", "not JSON"),
    (b"{]", "not JSON"),
    (b'{"modelUri": "\xff"}', "not UTF-8"),
    ([], "body: expected an object"),
    (request(prompt="x"), 'unknown field "prompt"'),
    (request(model_uri=URI), 'unknown field "model_uri"'),
    (said(role="user", text="x", content="x"), 'unknown field "content" in messages[0]'),
    (options(max_tokens="5"), 'unknown field "max_tokens" in completionOptions'),
    (options(temperature="0.5"), "invalid value for field completionOptions.temperature"),
    (options(temperature=True), "invalid value for field completionOptions.temperature"),
    (options(maxTokens="many"), "invalid value for field completionOptions.maxTokens"),
    (options(maxTokens="1.0"), "invalid value for field completionOptions.maxTokens"),
    (options(maxTokens=1.5), "invalid value for field completionOptions.maxTokens"),
    (options(maxTokens=True), "invalid value for field completionOptions.maxTokens"),
    (options(maxTokens=str(2**63)), "invalid value for field completionOptions.maxTokens"),
    (options(stream="no"), "invalid value for field completionOptions.stream"),
    (
        options(reasoningOptions={"mode": "ENABLED"}),
        "invalid value for field completionOptions.reasoningOptions.mode",
    ),
    (request(messages={}), "invalid value for field messages"),
    (request(messages=["x"]), "messages[0]: expected an object"),
    (said(role="user", text=5), "invalid value for field messages[0].text"),
    (
        said(role="user", text="x", toolCallList={}),
        "messages[0].toolCallList: text is already set",
    ),
    (
        request(jsonObject=True, jsonSchema={"schema": {}}),
        "jsonSchema: jsonObject is already set",
    ),
    (request(jsonSchema={}), "invalid value for field jsonSchema: schema is missing"),
    (request(jsonSchema={"type": "object"}), 'unknown field "type" in jsonSchema'),
    (request(parallelToolCalls="yes"), "invalid value for field parallelToolCalls"),
    (request(tools=[FUNCTION]), 'unknown field "name" in tools[0]'),
    (request(toolChoice="REQUIRED"), "toolChoice: expected an object"),
    (request(toolChoice={"mode": "MAYBE"}), "invalid value for field toolChoice.mode"),
    (
        request(toolChoice={"mode": "AUTO", "functionName": "weather"}),
        "toolChoice.functionName: mode is already set",
    ),
]

INVALID = [
    (request(modelUri=None), "Failed to parse model URI ''"),
    (request(modelUri="yandexgpt"), "Failed to parse model URI 'yandexgpt'"),
    (request(modelUri=f"cls://{FOLDER}/yandexgpt"), f"Failed to parse model URI 'cls://{FOLDER}"),
    (request(modelUri=f"{URI}/a/b"), f"Failed to parse model URI '{URI}/a/b'"),
    (request(modelUri=f"gpt://{FOLDER}/gpt-oss-120b"), "invalid model_uri"),
    (request(modelUri=f"{URI}/newest"), "invalid model_uri"),
    (
        request(modelUri="gpt://b1gother/yandexgpt"),
        f"Specified folder ID 'b1gother' does not match with service account folder ID '{FOLDER}'",
    ),
    (options(stream=True), "stream is not available"),
]

IN_SESSION = [
    (options(temperature=1.01), "temperature must be in range [0, 1], got 1.01"),
    (options(temperature=-0.1), "temperature must be in range [0, 1], got -0.1"),
    (options(maxTokens="0"), "max_tokens must be greater than 0, got 0"),
    (options(maxTokens=-1), "max_tokens must be greater than 0, got -1"),
    (request(messages=[]), "empty messages list"),
    (request(messages=None), "empty messages list"),
    (said(role="some_shit", text="x"), "invalid message role 'some_shit'"),
    (said(text="x"), "invalid message role ''"),
    (said(role="user", text=""), "empty message text"),
    (said(role="user"), "empty message text"),
    (request("я" * 100_001), "text length is 100001, which is outside the range (0, 100000]"),
    (request("a " * 40_000), "number of input tokens must be no more than 32768, got 40014"),
    (said(role="assistant", toolCallList={"toolCalls": []}), "empty tool list"),
    (request(tools=[{"function": {}}]), "empty function name"),
    (request(toolChoice={"mode": "REQUIRED"}), "there are no tools"),
    (request(tools=TOOLS, toolChoice={"functionName": "x"}), "unknown function 'x'"),
]

VALID = [
    request(modelUri=f"gpt://{FOLDER}/yandexgpt/rc"),
    request(modelUri=f"gpt://{FOLDER}/aliceai-llm/latest"),
    request(modelUri=f"{URI}/deprecated"),
    request(modelUri=f"{URI}/latest@tamr123"),
    options(),
    options(temperature=0, maxTokens="1"),
    options(temperature=1.0, maxTokens=2000, stream=False),
    options(reasoningOptions={"mode": "ENABLED_HIDDEN"}),
    options(temperature=None, maxTokens=None),
    request("я" * 100_000),
    request("a " * 32_754),
    request(jsonObject=True),
    request(jsonObject=False),
    request(jsonSchema={"schema": {"type": "object"}}, parallelToolCalls=False),
    request(tools=[{"function": FUNCTION | {"description": "d", "strict": True}}]),
    request(tools=TOOLS, toolChoice={"mode": "NONE"}),
    request(tools=TOOLS, toolChoice={"functionName": "weather"}),
    request(
        messages=[
            {"role": "system", "text": "Be brief"},
            {"role": "user", "text": "🌦 в Омске?"},
            {
                "role": "assistant",
                "toolCallList": {
                    "toolCalls": [{"functionCall": {"name": "weather", "arguments": {"a": 1.0}}}]
                },
            },
            {
                "role": "user",
                "toolResultList": {
                    "toolResults": [{"functionResult": {"name": "weather", "content": "+5"}}]
                },
            },
        ]
    ),
]


@pytest.mark.parametrize(("body", "message"), MALFORMED)
def test_what_the_gateway_can_t_read_gets_its_flat_error(body: object, message: str) -> None:
    status, error = Caller().refusal(body)
    assert (status, error["code"], error["details"]) == (400, 3, [])
    assert error["error"] == error["message"]
    assert error["message"].startswith(message)


@pytest.mark.parametrize(("body", "message"), INVALID)
def test_what_the_service_does_not_take_gets_a_nested_error(body: object, message: str) -> None:
    status, answer = Caller().refusal(body)
    assert (status, answer["error"]["grpcCode"]) == (400, 3)
    assert answer["error"]["message"].startswith(message)


@pytest.mark.parametrize(("body", "message"), IN_SESSION)
def test_what_the_model_s_session_does_not_take_names_the_session(
    body: object, message: str
) -> None:
    caller = Caller()
    reply = caller.post(body, headers=KEY | {"x-client-request-id": "mine"})
    assert reply.status == 400
    text = reply.body.decode()
    assert "Error in session internal_id=" in text
    request_id = reply.headers["x-request-id"]
    assert f"&request_id={request_id}&client_request_id=mine&folder_id={FOLDER}: " in text
    assert message in text
    assert caller.ledger()["submits"] == 0


@pytest.mark.parametrize("body", VALID)
def test_every_documented_form_is_accepted(body: dict[str, Any]) -> None:
    assert Caller().post(body).status == 200


@pytest.mark.parametrize("name", ["docs_rest_submit_request.json", "sdk_submit_request.json"])
def test_recorded_requests_are_accepted(name: str) -> None:
    body = recorded(name)
    body["modelUri"] = body["modelUri"].replace("<folder_ID>", FOLDER)
    assert Caller(folder=body["modelUri"].split("/")[2]).post(body).status == 200


def test_only_the_asynchronous_mode_refuses_to_stream() -> None:
    assert Caller().post(options(stream=True), SYNC).status == 200
