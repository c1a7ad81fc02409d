"""Lines of outputs and errors files, for tests that only read them."""

from typing import Any

USAGE = {"input_tokens": 10, "completion_tokens": 5, "reasoning_tokens": 2, "total_tokens": 15}


def answer(**changes: Any) -> dict[str, Any]:
    line = {
        "line": 1,
        "id": "line-1",
        "status": "ok",
        "text": "Ответ",
        "finish": "final",
        "usage": USAGE,
        "model": "lite",
        "operation_id": "op",
        "created_at": "2026-03-01T00:00:00Z",
        "finished_at": "2026-03-02T21:00:00Z",
    }
    return line | changes


def failed(**changes: Any) -> dict[str, Any]:
    error = {"stage": "operation", "code": "c", "message": "m", "request_id": None}
    line = {
        "line": 1,
        "id": "line-1",
        "status": "failed",
        "error": error,
        "input": {"prompt": "a"},
    }
    return line | changes


TOTALS = {
    "totals": {
        "doubts": 3,
        "doubt_cost": "0.98",
        "cost": {"amount": "1.00", "currency": "RUB", "prices": "2026-03-03"},
        "by_model": [{"model": "lite"}],
        "replaced_usage": {"unknown": 2},
    }
}
