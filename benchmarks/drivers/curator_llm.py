"""bespokelabs-curator: one call over all prompts, its limits lifted; it caches and resumes itself.

python curator_llm.py INPUT OUTPUT PORT IN_FLIGHT
"""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from bespokelabs.curator import LLM

_NO_LIMIT = 100_000_000


def keep_tokens_at_home() -> None:
    """Let tiktoken take the encoding that litellm ships, or it would fetch it from the network."""
    litellm = find_spec("litellm")
    if litellm is not None and litellm.origin is not None:
        shipped = Path(litellm.origin).parent / "litellm_core_utils" / "tokenizers"
        os.environ["TIKTOKEN_CACHE_DIR"] = str(shipped)


def main(source: str, target: str, port: str, in_flight: str) -> None:
    with Path(source).open() as lines:
        rows = [json.loads(line) for line in lines]
    model = LLM(
        model_name="yandexgpt-lite",
        backend="openai",
        backend_params={
            "base_url": f"http://127.0.0.1:{port}/v1",
            "api_key": "none",
            "max_retries": 0,
            "max_concurrent_requests": int(in_flight),
            "max_requests_per_minute": _NO_LIMIT,
            "max_tokens_per_minute": _NO_LIMIT,
        },
    )
    answers = model([row["prompt"] for row in rows], working_dir=target + ".cache")
    with Path(target).open("w") as out:
        for row, answer in zip(rows, answers.dataset, strict=True):
            line = {"id": row["id"], "text": answer["response"]}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")


keep_tokens_at_home()
main(*sys.argv[1:])
