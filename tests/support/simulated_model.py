"""A simulated OpenAI-compatible server: no model, but answers that fit, counts that can be trusted, faults on demand.

As a process: `python tests/support/simulated_model.py --port 0 --latency-ms 20 --fault 429=0.05` prints its port.
`GET /stats` tells what it was asked; `POST /faults` with `["500", "hang"]` makes the next calls fail that way.

The answer to a conversation follows from its first user message and the schema alone, so that the same question has
the same answer in every run, repaired or not."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import random
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

FAULTS = ("429", "500", "hang", "bad_json", "truncated", "refused", "not_chat")
FORMS = ("json_schema", "json_object")
_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath")
_SCHEMA_IN_WORDS = "JSON Schema: "
_RETRY_AFTER_SECONDS = 0.2


def answer_for(schema: Mapping[str, Any] | None, question: str) -> Any:
    """A value that fits `schema`, the same for the same question."""
    seed = int.from_bytes(hashlib.sha256(question.encode()).digest()[:8])
    return _fitting(schema, random.Random(seed)) if schema else f"An answer to {seed % 10_000}."


def _fitting(schema: Mapping[str, Any], chance: random.Random) -> Any:
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return chance.choice(schema["enum"])
    kind = schema.get("type", "string")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            return {name: _fitting(each, chance) for name, each in schema.get("properties", {}).items()}
        case "array":
            count = max(schema.get("minItems", 1), 1)
            return [_fitting(schema.get("items", {}), chance) for _ in range(count)]
        case "number":
            return round(chance.uniform(schema.get("minimum", 0), schema.get("maximum", 1)), 3)
        case "integer":
            return chance.randint(schema.get("minimum", 0), schema.get("maximum", 100))
        case "boolean":
            return chance.random() < 0.5
        case "null":
            return None
        case _:
            return " ".join(chance.choices(_WORDS, k=3))


def tokens_of(text: str) -> int:
    """About what a tokenizer would count."""
    return len(text) // 4 + 1


@dataclass
class SimulatedModel:
    """The server. What it counts, it counts when a call arrives."""

    latency: float = 0.0
    """Seconds each answer takes."""
    api_key: str | None = None
    """Calls without this key are answered with 401."""
    forms: Sequence[str] = FORMS
    """The kinds of `response_format` it takes; others are answered with 400."""
    models: Sequence[str] = ()
    """The models it knows; none for any. Others are answered with 404."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Share of calls that meet each fault."""
    seed: int = 0
    faults: deque[str] = field(default_factory=deque)
    """Faults of the next calls, before any rate."""
    calls: int = 0
    answered: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    at_once: int = 0
    most_at_once: int = 0
    met: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    """Conversations by the SHA-256 of their messages."""
    bodies: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=200))
    """The last requests, as they came."""
    base_url: str = ""

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> SimulatedModel:
        from loom_dev.backends.ports import reserve_port

        return await self.start(reserve_port())

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int) -> SimulatedModel:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/stats", self._stats)
        app.router.add_post("/faults", self._take_faults)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.base_url = f"http://127.0.0.1:{port}/v1"
        return self

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def stats(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "answered": self.answered,
            "distinct": len(self.asked),
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "most_at_once": self.most_at_once,
            "faults": dict(self.met),
        }

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response(self.stats)

    async def _take_faults(self, request: web.Request) -> web.Response:
        self.faults.extend(await request.json())
        return web.json_response(list(self.faults))

    async def _complete(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        self.calls += 1
        self.bodies.append(body)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self._refusal(request, body) or await self._answer(body)
        finally:
            self.at_once -= 1

    def _refusal(self, request: web.Request, body: dict[str, Any]) -> web.Response | None:
        if self.api_key is not None and request.headers.get("Authorization") != f"Bearer {self.api_key}":
            given = request.headers.get("Authorization", "none")
            return _error(401, f"Incorrect API key provided: {given}", "invalid_api_key")
        if self.models and body["model"] not in self.models:
            return _error(404, f"The model {body['model']} does not exist", "model_not_found")
        form = body.get("response_format", {}).get("type")
        if form is not None and form not in self.forms:
            return _error(400, f"response_format {form} is not supported", "invalid_request_error")
        return None

    async def _answer(self, body: dict[str, Any]) -> web.Response:
        fault = self._fault()
        if self.latency:
            await asyncio.sleep(self.latency)
        match fault:
            case "429":
                return _error(429, "Slow down", "rate_limit_exceeded", {"Retry-After": str(_RETRY_AFTER_SECONDS)})
            case "500":
                return _error(500, "The server had an error", "server_error")
            case "hang":
                await asyncio.sleep(3600)
            case "not_chat":
                return web.Response(text="<html>A proxy's page</html>", content_type="text/html")
        return self._completion(body, fault)

    def _fault(self) -> str | None:
        fault = self.faults.popleft() if self.faults else None
        if fault is None and self.rates:
            draw = self._chance.random()
            for name, rate in self.rates.items():
                if draw < rate:
                    fault = name
                    break
                draw -= rate
        if fault is not None:
            self.met[fault] += 1
        return fault

    def _completion(self, body: dict[str, Any], fault: str | None) -> web.Response:
        messages = body["messages"]
        question = next(message["content"] for message in messages if message["role"] == "user")
        answer = answer_for(_schema_of(body), question)
        text = answer if isinstance(answer, str) else json.dumps(answer)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        finish = "stop"
        if fault == "bad_json":
            message["content"] = text[: len(text) // 2]
        elif fault == "truncated":
            message["content"], finish = text[: len(text) // 2], "length"
        elif fault == "refused":
            message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
        conversation = "\n".join(message["content"] for message in messages)
        tokens_in, tokens_out = tokens_of(conversation), tokens_of(message["content"] or "")
        self.answered += 1
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.asked[hashlib.sha256(conversation.encode()).hexdigest()] += 1
        return web.json_response(
            {
                "id": f"simulated-{self.calls}",
                "object": "chat.completion",
                "model": body["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": finish}],
                "usage": {
                    "prompt_tokens": tokens_in,
                    "completion_tokens": tokens_out,
                    "total_tokens": tokens_in + tokens_out,
                },
            }
        )


def _schema_of(body: dict[str, Any]) -> dict[str, Any] | None:
    """From `response_format`; or from the words of a prompt, for endpoints that take no schema."""
    form = body.get("response_format", {})
    if form.get("type") == "json_schema":
        return form["json_schema"]["schema"]
    for message in body["messages"]:
        if message["role"] == "system" and _SCHEMA_IN_WORDS in message["content"]:
            return json.loads(message["content"].split(_SCHEMA_IN_WORDS, 1)[1])
    return None


def _error(status: int, message: str, code: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"message": message, "code": code}}, status=status, headers=headers)


@contextlib.contextmanager
def simulated_process(*options: str) -> Iterator[str]:
    """The server as a process of its own; yields its base URL (`http://127.0.0.1:PORT/v1`)."""
    with subprocess.Popen([sys.executable, __file__, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.terminate()


def _rate(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    if name not in FAULTS:
        raise argparse.ArgumentTypeError(f"{name!r} is no fault; one of {', '.join(FAULTS)}")
    return name, float(share)


async def _serve(options: argparse.Namespace) -> None:
    server = SimulatedModel(
        latency=options.latency_ms / 1000,
        api_key=options.api_key,
        rates=dict(options.fault),
        seed=options.seed,
        forms=options.form or FORMS,
    )
    port = options.port
    if not port:
        from loom_dev.backends.ports import reserve_port

        port = reserve_port()
    await server.start(port)
    print(port, flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--api-key", help="refuse calls without this key")
    parser.add_argument("--fault", type=_rate, action="append", default=[], metavar="NAME=RATE", help=", ".join(FAULTS))
    parser.add_argument("--form", action="append", choices=FORMS, help="take only this response_format; default: all")
    parser.add_argument("--seed", type=int, default=0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
