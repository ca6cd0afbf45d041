"""Runs the server: its answers fit the schema, its counts are exact, and it fails on demand.

    POST /v1/chat/completions                      the API of OpenAI, and of most others
    POST /v1/messages                              the API of Anthropic
    POST /v1beta/models/{model}:generateContent    the API of Google
    POST /v1/embeddings                            OpenAI's API for the vectors of texts
    POST /v1/batches, /v1/messages/batches, ...    the batch APIs of these three: see `batches.py`
    GET  /stats                                    returns what the server was asked, as JSON
    POST /faults                                   makes the next calls fail: `["500", "hang"]`

The answer to a conversation depends on the user's messages and the schema only, so that the same question has the same
answer in every run; `variety` changes that, and a seed takes its chance away. Where tools are offered, it asks for the
first one before it answers. Calls are counted when they arrive."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from loom_ai.simulated.answers import answer_for, made_up_logprobs, tokens_of
from loom_ai.simulated.batches import SimulatedBatches
from loom_ai.simulated.conversation import SimulatedAnswer, SimulatedRequest
from loom_ai.simulated.formats import AnthropicMessages, ChatCompletions, Format, GoogleContents
from loom_ai.simulated.further_formats import BedrockConverse, CohereChat, Embeddings
from loom_ai.simulated.known import KnownAnswers, with_known
from loom_ai.simulated.latency import Latency
from loom_ai.simulated.traffic import Traffic

FAULTS = ("429", "500", "hang", "bad_json", "truncated", "refused", "not_chat")
FORMS = ("json_schema", "json_object")

_LARGEST_REQUEST = 256 * 1024 * 1024
"""The largest request that is read, in bytes: attachments make them large."""


@dataclass
class SimulatedModel:
    """Holds the simulated provider's settings and what it was asked. All settings may be changed while it runs."""

    latency: float | Latency = 0.0
    """The number of seconds that each answer takes, or their distribution."""
    tokens_out: int = 0
    """The completion tokens that were reported so far."""
    tokens_per_answer: int | None = None
    """The completion tokens that each answer reports; None for an estimate from its text."""
    api_key: str | None = None
    """The only key that is accepted; calls with another one get 401."""
    forms: Sequence[str] = FORMS
    """Holds the answer forms that are accepted; calls with another one get 400."""
    models: Sequence[str] = ()
    """Holds the models that exist; empty for all. Calls to other models get 404."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Says for each fault the share of calls that meet it."""
    retry_after: float = 0.2
    """The `Retry-After` of a 429, in seconds."""
    requests_per_minute: int | None = None
    """Holds the requests accepted per minute; more get 429. None means no limit."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that are added to every answer."""
    variety: float = 0.0
    """The share of calls that are answered otherwise than the same question usually is, as by a model with a
    temperature."""
    seed: int = 0
    known: KnownAnswers | None = None
    """Holds the answers to some texts; those to other questions are made up."""
    faults: deque[str] = field(default_factory=deque)
    """Holds the faults of the next calls, which come before those drawn by rate."""
    calls: int = 0
    answered: int = 0
    tokens_in: int = 0
    at_once: int = 0
    most_at_once: int = 0
    used: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Holds the tokens of questions and of answers, by model."""
    met: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    """Says how often each conversation was asked, by the SHA-256 of its texts."""
    bodies: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=200))
    """The bodies of the last requests."""
    base_url: str = ""
    """The address of the OpenAI-compatible API, which ends in `/v1`."""

    def __post_init__(self) -> None:
        self.traffic = Traffic()
        self.batches = SimulatedBatches(self._answer_in_batch)
        self._chance = random.Random(self.seed)  # noqa: S311 - no secret is made of it
        self._runner: web.AppRunner | None = None
        self._kept: set[str] = set()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def root_url(self) -> str:
        """Return the address that the other providers' paths are under."""
        return self.base_url.removesuffix("/v1")

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> Self:
        """Listen on `port`, or on any free one. Raises `OSError`."""
        app = web.Application(client_max_size=_LARGEST_REQUEST)
        app.router.add_routes(self.batches.routes())
        app.router.add_post("/v1/chat/completions", self._speaking(ChatCompletions()))
        app.router.add_post("/v1/messages", self._speaking(AnthropicMessages()))
        app.router.add_post("/v1beta/models/{model}:generateContent", self._speaking(GoogleContents()))
        app.router.add_post("/v1/embeddings", self._speaking(Embeddings()))
        app.router.add_post("/v2/chat", self._speaking(CohereChat()))
        app.router.add_post("/model/{model}/converse", self._speaking(BedrockConverse()))
        app.router.add_get("/stats", self._stats)
        app.router.add_post("/faults", self._take_faults)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.base_url = f"http://{host}:{self._runner.addresses[0][1]}/v1"
        return self

    async def stop(self) -> None:
        """Stop listening and close all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def stats(self) -> dict[str, Any]:
        """Return what the server was asked so far. Tokens are those of answers that were sent."""
        return {
            "simulated": True,
            "calls": self.calls,
            "answered": self.answered,
            "distinct": len(self.asked),
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "most_at_once": self.most_at_once,
            "most_in_a_minute": self.traffic.most,
            "faults": dict(self.met),
            "batches": {
                "submitted": self.batches.submissions,
                "answered": self.batches.paid.total(),
                "paid_twice": sum(times > 1 for times in self.batches.paid.values()),
                "largest_requests": max((len(each.requests) for each in self.batches.batches.values()), default=0),
                "largest_bytes": self.batches.largest,
            },
        }

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response(self.stats)

    async def _take_faults(self, request: web.Request) -> web.Response:
        self.faults.extend(await request.json())
        return web.json_response(list(self.faults))

    def _speaking(self, wire: Format) -> Any:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = json.loads(await request.read())
            self.calls += 1
            in_a_minute = self.traffic.arrived(asyncio.get_running_loop().time())
            self.bodies.append(body)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                call = wire.read_request(body, request.match_info.get("model", ""))
                refusal = self._refusal(request, wire, call, in_a_minute)
                return refusal or await self._answer(wire, call)
            finally:
                self.at_once -= 1

        return handle

    def _refusal(
        self, request: web.Request, wire: Format, call: SimulatedRequest, in_a_minute: int
    ) -> web.Response | None:
        given = request.headers.get(wire.key_header, "none").removeprefix("Bearer ")
        if self.api_key is not None and given != self.api_key:
            return _error(wire, 401, f"Incorrect API key provided: {given}", "invalid_api_key")
        if self.models and call.model not in self.models:
            return _error(wire, 404, f"The model {call.model} does not exist", "model_not_found")
        if call.form not in (None, "vectors", *self.forms):
            return _error(wire, 400, f"response_format {call.form} is not supported", "invalid_request_error")
        if self.requests_per_minute is not None and in_a_minute > self.requests_per_minute:
            self.met["over_limit"] += 1
            return self._slow_down(wire)
        return None

    def _slow_down(self, wire: Format) -> web.Response:
        headers = {"Retry-After": f"{self.retry_after:g}"}
        return _error(wire, 429, "Slow down", "rate_limit_exceeded", headers)

    async def _answer(self, wire: Format, call: SimulatedRequest) -> web.Response:
        fault = self._fault()
        latency = self.latency.draw(self._chance) if isinstance(self.latency, Latency) else self.latency
        if latency:
            await asyncio.sleep(latency)
        match fault:
            case "429":
                return self._slow_down(wire)
            case "500":
                return _error(wire, 500, "The server had an error", "server_error")
            case "hang":
                await asyncio.sleep(3600)
            case "not_chat":
                return web.Response(text="<html>A proxy's page</html>", content_type="text/html")
        return web.json_response(wire.answer(call, self._reply(call, fault)), headers=self.headers)

    def _answer_in_batch(self, wire: Format, body: dict[str, Any], model: str) -> dict[str, Any]:
        """Return the status and the body of the response to a request of a batch."""
        call = wire.read_request(body, model)
        if call.form is not None and call.form not in self.forms:
            message = f"response_format {call.form} is not supported"
            return {"status": 400, "body": wire.error(400, message, "invalid_request_error")}
        return {"status": 200, "body": wire.answer(call, self._reply(call, self._fault()))}

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

    def _reply(self, call: SimulatedRequest, fault: str | None) -> SimulatedAnswer:
        chance = self._chance if call.seed is None else random.Random(f"{call.seed} {call.question}")  # noqa: S311
        usual = not self.variety or chance.random() >= self.variety
        answer = answer_for(call.schema, call.question if usual else f"{call.question} ({chance.random()})")
        if self.known is not None and usual:
            answer = with_known(answer, self.known.about(call.question))
        text = answer if isinstance(answer, str) else json.dumps(answer)
        arguments = None
        if call.tool is not None and fault is None:
            arguments = answer_for(call.tool[1] or {"type": "object"}, call.question)
            text = json.dumps(arguments)
        if fault in ("bad_json", "truncated"):
            text = text[: len(text) // 2]
        elif fault == "refused":
            text = "I cannot help with that."
        conversation = "\n".join(call.turns)
        tokens_in = tokens_of(conversation)
        tokens_out = 0 if call.form == "vectors" else tokens_of("" if fault == "refused" else text)
        if self.tokens_per_answer is not None:
            tokens_out = self.tokens_per_answer
        tokens_out += call.reasoning
        truncated = fault == "truncated"
        if call.max_tokens is not None and tokens_out > call.max_tokens:
            left = max(0, call.max_tokens - call.reasoning)
            text, tokens_out, truncated = text[: 4 * left], call.max_tokens, True
        self.answered += 1
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        given, answered = self.used.get(call.model, (0, 0))
        self.used[call.model] = given + tokens_in, answered + tokens_out
        self.asked[hashlib.sha256(conversation.encode()).hexdigest()] += 1
        cached, written = self._kept_of(call.marked, tokens_in)
        logprobs = made_up_logprobs(text, call.question) if call.logprobs else ()
        return SimulatedAnswer(
            text, tokens_in, tokens_out, self.calls, truncated, fault == "refused", arguments, cached, written, logprobs
        )

    def _kept_of(self, marked: Sequence[str], tokens_in: int) -> tuple[int, int]:
        """Return how many tokens of a question were kept before, and how many are kept from now on."""
        sizes = [min(tokens_in, tokens_of(each)) for each in marked]
        read = max((size for each, size in zip(marked, sizes, strict=True) if each in self._kept), default=0)
        self._kept.update(marked)
        return read, max(sizes, default=0) - read


def _error(
    wire: Format, status: int, message: str, code: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.json_response(wire.error(status, message, code), status=status, headers=headers)
