"""The same loop as for the openai SDK, over litellm's `acompletion`.

python litellm_gather.py INPUT OUTPUT PORT IN_FLIGHT
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import litellm


async def main(source: str, target: str, port: str, in_flight: str) -> None:
    turns = asyncio.Semaphore(int(in_flight))

    async def ask(row: dict[str, Any]) -> None:
        async with turns:
            answer = await litellm.acompletion(
                model="openai/yandexgpt-lite",
                messages=[{"role": "user", "content": row["prompt"]}],
                api_base=f"http://127.0.0.1:{port}/v1",
                api_key="none",
                max_retries=0,
            )
        text, usage = answer.choices[0].message.content, answer.usage.model_dump()
        line = {"id": row["id"], "text": text, "usage": usage}
        out.write(json.dumps(line, ensure_ascii=False) + "\n")

    with Path(source).open() as rows, Path(target).open("w") as out:
        await asyncio.gather(*[ask(json.loads(row)) for row in rows])


asyncio.run(main(*sys.argv[1:]))
