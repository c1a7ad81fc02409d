"""langchain-openai: one `abatch` with `max_concurrency`; the answers are written when all are in.

python langchain_abatch.py INPUT OUTPUT PORT IN_FLIGHT
"""

import asyncio
import json
import sys
from pathlib import Path

from langchain_openai import ChatOpenAI


async def main(source: str, target: str, port: str, in_flight: str) -> None:
    model = ChatOpenAI(
        model="yandexgpt-lite",
        base_url=f"http://127.0.0.1:{port}/v1",
        api_key="none",
        max_retries=0,
    )
    with Path(source).open() as lines:
        rows = [json.loads(line) for line in lines]
    answers = await model.abatch(
        [row["prompt"] for row in rows], config={"max_concurrency": int(in_flight)}
    )
    with Path(target).open("w") as out:
        for row, answer in zip(rows, answers, strict=True):
            line = {"id": row["id"], "text": answer.content, "usage": answer.usage_metadata}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")


asyncio.run(main(*sys.argv[1:]))
