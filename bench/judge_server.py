"""Runs a model server that answers every question of Arbiter's semantic evaluator the same, as cheaply as it can.

`python -m bench.judge_server PORT`. To a request with tools it answers by a tool call, as pydantic-ai wants it."""

from __future__ import annotations

import json
import sys

from aiohttp import web

ANSWER = {
    "score": 0.9,
    "confidence": 0.8,
    "explanation": "Both say the same.",
    "key_differences": [],
    "key_similarities": ["the city"],
}


def _completion(message: dict[str, object], reason: str) -> bytes:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}],
        "usage": {"prompt_tokens": 300, "completion_tokens": 40, "total_tokens": 340},
    }
    return json.dumps(body).encode()


_TEXT = _completion({"content": json.dumps(ANSWER)}, "stop")
_CALL = {"id": "call_1", "type": "function", "function": {"name": "final_result", "arguments": json.dumps(ANSWER)}}
_TOOL = _completion({"content": None, "tool_calls": [_CALL]}, "tool_calls")


async def _answer(request: web.Request) -> web.Response:
    body = await request.read()
    return web.Response(body=_TOOL if b'"tools"' in body else _TEXT, content_type="application/json")


def main() -> None:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", _answer)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)


if __name__ == "__main__":
    main()
