"""async-batch-llm: a stream between bounded queues, and the SQLite store that its docs name.

The same command resumes: answers that the store has are taken from there, and written again.

    python batch_llm.py INPUT OUTPUT PORT IN_FLIGHT
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from async_batch_llm import (
    ArtifactIdentity,
    ProcessorConfig,
    ResumePolicy,
    SqliteArtifactStore,
    llm,
    process_stream,
)


def prompts(source: str) -> Iterator[tuple[str, str]]:
    with Path(source).open() as rows:
        for line in rows:
            row = json.loads(line)
            yield row["id"], row["prompt"]


async def main(source: str, target: str, port: str, in_flight: str) -> None:
    store = SqliteArtifactStore(
        target + ".sqlite",
        identity=ArtifactIdentity(provider="loopback", model="yandexgpt-lite"),
    )
    results = process_stream(
        llm(
            "openai-compatible:yandexgpt-lite",
            base_url=f"http://127.0.0.1:{port}/v1",
            api_key="none",
        ),
        prompts(source),
        config=ProcessorConfig(
            concurrency=int(in_flight), max_queue_size=128, max_result_queue_size=64
        ),
        artifact_store=store,
        resume=ResumePolicy.REUSE_SUCCESSES,
    )
    with Path(target).open("w") as out:
        async for result in results:
            if result.success:
                line = {"id": result.item_id, "text": result.output, "usage": result.token_usage}
                out.write(json.dumps(line, ensure_ascii=False) + "\n")


asyncio.run(main(*sys.argv[1:]))
