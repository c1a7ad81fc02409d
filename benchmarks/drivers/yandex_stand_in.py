"""The two calls of a row over gRPC, for the Yandex SDK, at as little cost as may be.

    python yandex_stand_in.py

It runs in the SDK's own environment, with the messages that come with it. Completion begins an
operation, Get finds it over; both answers are made once and sent as bytes. It prints its port,
serves until its standard input ends, and then prints what `benchmarks/instant.py` prints.
"""

import asyncio
import json
import sys
import time
from typing import Any

import grpc
from grpc import aio
from yandex.cloud.ai.foundation_models.v1.text_common_pb2 import Alternative, ContentUsage, Message
from yandex.cloud.ai.foundation_models.v1.text_generation.text_generation_service_pb2 import (
    CompletionResponse,
)
from yandex.cloud.operation.operation_pb2 import Operation

_ANSWER = "Вода кипит при ста градусах на уровне моря, а в горах раньше, и чем выше, тем раньше."


def _begun() -> bytes:
    return bytes(Operation(id="d7q00000000000000001").SerializeToString())


def _over() -> bytes:
    answer = CompletionResponse(
        alternatives=[
            Alternative(
                message=Message(role="assistant", text=_ANSWER),
                status=Alternative.ALTERNATIVE_STATUS_FINAL,
            )
        ],
        usage=ContentUsage(input_text_tokens=31, completion_tokens=64, total_tokens=95),
        model_version="18.01.2024",
    )
    operation = Operation(id="d7q00000000000000001", done=True)
    operation.response.Pack(answer)
    return bytes(operation.SerializeToString())


class StandIn(grpc.GenericRpcHandler):  # type: ignore[misc] # unknown where it is not installed
    def __init__(self) -> None:
        self.posts = self.gets = 0
        self.first: float | None = None
        begun, over = _begun(), _over()

        async def complete(_request: bytes, _context: Any) -> bytes:
            if not self.posts:
                self.first = time.monotonic()
            self.posts += 1
            return begun

        async def get(_request: bytes, _context: Any) -> bytes:
            self.gets += 1
            return over

        self._methods = {
            "Completion": grpc.unary_unary_rpc_method_handler(complete),
            "Get": grpc.unary_unary_rpc_method_handler(get),
        }

    def service(self, handler_call_details: Any) -> Any:
        return self._methods.get(handler_call_details.method.rpartition("/")[2])


async def main() -> None:
    stand_in, server = StandIn(), aio.server()
    server.add_generic_rpc_handlers((stand_in,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)
    counts = {"posts": stand_in.posts, "gets": stand_in.gets, "first": stand_in.first}
    print(json.dumps(counts))


asyncio.run(main())
