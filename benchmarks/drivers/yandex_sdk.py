"""The Yandex AI Studio SDK: `run_deferred` and `wait`, every row at once, each behind a semaphore.

python yandex_sdk.py INPUT OUTPUT PORT IN_FLIGHT
"""

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from yandex_ai_studio_sdk import AsyncAIStudio


async def main(source: str, target: str, port: str, in_flight: str) -> None:
    here = f"127.0.0.1:{port}"
    sdk = AsyncAIStudio(
        folder_id="b1gbenchmark",
        auth="none",
        endpoint=None,
        service_map={"ai-foundation-models": here, "operation": here},
        verify=False,
    )
    model = sdk.models.completions("yandexgpt-lite")
    turns = asyncio.Semaphore(int(in_flight))

    async def ask(row: dict[str, Any]) -> None:
        async with turns:
            operation = await model.run_deferred(row["prompt"])
            answer = await operation.wait()
        line = {"id": row["id"], "text": answer.text, "usage": asdict(answer.usage)}
        out.write(json.dumps(line, ensure_ascii=False) + "\n")

    with Path(source).open() as rows, Path(target).open("w") as out:
        await asyncio.gather(*[ask(json.loads(row)) for row in rows])


asyncio.run(main(*sys.argv[1:]))
