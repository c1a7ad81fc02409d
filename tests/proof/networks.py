"""A simulated network between the run and a service with faults, which dies with the process."""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import assert_never
from urllib.parse import urlsplit

from pipeline.clock import Clock
from pipeline.emulator.deliveries import Cut, Delivery, Drip, Misstated, Reset, Sent, Silence
from pipeline.emulator.faults import Unreliable
from pipeline.network.carrier import NoAnswerError, Reply, UndecodableError
from tests.proof.crashes import Mortal


class Network:
    """Carries calls to a service with faults, as a network would, and dies with the process."""

    def __init__(
        self,
        unreliable: Unreliable,
        clock: Clock,
        most_delay: float,
        life: Mortal,
        chance: random.Random,
    ) -> None:
        self._unreliable = unreliable
        self._clock = clock
        self._most_delay = most_delay
        self._life = life
        self._chance = chance
        self._leaving: dict[int, Callable[[], Delivery]] = {}
        self._calls = 0

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Reply:
        self._life.step()
        await self._alive()
        path = urlsplit(url).path
        if path.startswith("/operations/"):
            assert path.rpartition("/")[2] in self._life.ids, "asked for before it was on disk"

        def arrive() -> Delivery:
            now = self._clock.now()
            return self._unreliable.respond(method, path, headers, body, now)

        try:
            async with asyncio.timeout(timeout):
                return await self._answer(arrive, timeout)
        except TimeoutError:
            raise NoAnswerError(f"no answer within {timeout:g} s") from None

    async def _answer(self, arrive: Callable[[], Delivery], timeout: float) -> Reply:
        self._calls += 1
        number = self._calls
        self._leaving[number] = arrive
        await asyncio.sleep(self._chance.uniform(0, self._most_delay))
        del self._leaving[number]
        await self._alive()
        delivery = arrive()
        self._life.step()
        await asyncio.sleep(self._chance.uniform(0, self._most_delay))
        self._life.step()
        await self._alive()
        return await _received(delivery, timeout)

    async def _alive(self) -> None:
        if self._life.is_dead:
            await asyncio.Event().wait()

    def let_go(self) -> None:
        """What had left when the process died may still arrive; nobody hears the answer."""
        for arrive in self._leaving.values():
            if self._chance.random() < 0.5:
                arrive()

    async def close(self) -> None: ...


async def _received(delivery: Delivery, timeout: float) -> Reply:
    """What a client makes of what was sent."""
    match delivery:
        case Sent(reply) if reply.headers.get("content-encoding") == "gzip":
            raise UndecodableError("DecodingError: not gzip")
        case Sent(reply):
            return Reply(reply.status, reply.headers, reply.body)
        case Misstated(reply, length):
            return Reply(reply.status, reply.headers, reply.body[:length])
        case Drip(reply):
            await asyncio.sleep(len(reply.body))
            return Reply(reply.status, reply.headers, reply.body)
        case Silence():
            await asyncio.sleep(timeout)
            raise NoAnswerError(f"no answer within {timeout:g} s")
        case Reset():
            raise NoAnswerError("ReadError: connection reset")
        case Cut():
            raise NoAnswerError("RemoteProtocolError: body cut")
        case _:
            assert_never(delivery)
