"""A bell that one waiter listens to: rung when what it waits for may have changed."""

import asyncio


class Bell:
    """Rings are not counted: whoever wakes looks at everything anew."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, seconds: float | None = None) -> None:
        """Return when the bell rings or has rung since the last wait, or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        finally:
            self._event.clear()
