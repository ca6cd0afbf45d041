"""Implements the batch APIs of OpenAI, Anthropic and Google on the server's side, without a model.

A batch takes `seconds`. Until then a share of its requests is answered, as much as of the time has passed. What is
answered in a batch counts as paid, by the name of the request, so that a test sees whether one was paid for twice."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from loom_ai.simulated.formats import AnthropicMessages, ChatCompletions, Format, GoogleContents

BATCH_FAULTS = (
    "413",
    "429",
    "500",
    "lost_response",
    "never_arrives",
    "fail",
    "too_much",
    "expire",
    "missing",
    "cut",
    "errors",
    "refusals",
    "bad_lines",
)
MOST_REQUESTS: Mapping[type[Format], int] = {ChatCompletions: 50_000, AnthropicMessages: 100_000}
"""The most requests of a batch, as the providers document them. Google states none."""
_MIB = 1024 * 1024
MOST_BYTES: Mapping[type[Format], int] = {
    ChatCompletions: 200 * _MIB,
    AnthropicMessages: 256 * _MIB,
    GoogleContents: 20 * _MIB,
}
"""The most bytes of a batch: of OpenAI's file, of Anthropic's document, and of Google's with the requests inside."""
_YEAR = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)

Answer = Callable[[Format, dict[str, Any], str], dict[str, Any]]


@dataclass
class SimulatedBatch:
    """Holds a batch as the provider has it."""

    id: str
    wire: Format
    requests: list[tuple[str, dict[str, Any], str]]
    """Holds the name, body and model of each request."""
    name: str
    """Says what the client named it; empty where the protocol has no such name."""
    key: str
    """The API key that created it."""
    fault: str | None
    created: float = field(default_factory=time.time)
    cancelled: float | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    downloads: int = 0

    def done(self, seconds: float) -> int:
        """Return how many requests are answered by now."""
        if self.fault in ("fail", "too_much"):
            return 0
        passed = (self.cancelled or time.time()) - self.created
        share = 1.0 if seconds <= 0 else min(1.0, passed / seconds)
        most = len(self.requests) // 2 if self.fault == "expire" else len(self.requests)
        return int(share * most)

    def state(self, seconds: float) -> str:
        """Return `running`, `completed`, `expired`, `cancelled` or `failed`."""
        if self.fault in ("fail", "too_much"):
            return "failed"
        if self.cancelled is not None:
            return "cancelled"
        if time.time() - self.created < seconds:
            return "running"
        return "expired" if self.fault == "expire" else "completed"


class SimulatedBatches:
    """Serves the batch APIs of one server. All settings may be changed while it runs."""

    def __init__(self, answer: Answer) -> None:
        """`answer` makes the response to one request."""
        self.seconds = 0.0
        """The number of seconds that a batch takes."""
        self.most_requests = dict(MOST_REQUESTS)
        """More in one batch of a protocol are refused."""
        self.most_bytes = dict(MOST_BYTES)
        """More bytes in one batch of a protocol are refused."""
        self.largest = 0
        """The bytes of the largest batch that was accepted."""
        self.projects = False
        """Tells whether a batch is shown only to the key that created it."""
        self.faults: deque[str] = deque()
        """The faults of the next batches, each one of `BATCH_FAULTS`."""
        self.batches: dict[str, SimulatedBatch] = {}
        self.submissions = 0
        """Says how often a batch was accepted."""
        self.paid: Counter[str] = Counter()
        """Says how often each request was answered in a batch, by its name."""
        self.polls = 0
        self._files: dict[str, bytes] = {}
        self._answer = answer

    def routes(self) -> list[web.RouteDef]:
        """Return what a server answers to."""
        one = "/v1/messages/batches/{id}"
        return [
            web.post("/v1/files", self._upload),
            web.get("/v1/files/{id}/content", self._content),
            web.post("/v1/batches", self._openai_create),
            web.get("/v1/batches", self._openai_list),
            web.get("/v1/batches/{id}", self._openai_get),
            web.post("/v1/batches/{id}/cancel", self._openai_cancel),
            web.post("/v1/messages/batches", self._anthropic_create),
            web.get("/v1/messages/batches", self._anthropic_list),
            web.get(one, self._anthropic_get),
            web.post(f"{one}/cancel", self._anthropic_cancel),
            web.get(f"{one}/results", self._anthropic_results),
            web.post("/v1beta/models/{model}:batchGenerateContent", self._google_create),
            web.get("/v1beta/batches", self._google_list),
            web.get("/v1beta/batches/{id}", self._google_get),
            web.post("/v1beta/batches/{id}:cancel", self._google_cancel),
        ]

    async def _upload(self, request: web.Request) -> web.Response:
        parts = await request.post()
        name = f"file-{len(self._files) + 1}"
        file = parts["file"]
        assert isinstance(file, web.FileField)
        self._files[name] = file.file.read()
        return web.json_response({"id": name, "object": "file", "purpose": parts["purpose"]})

    async def _openai_create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        lines = [json.loads(line) for line in self._files[body["input_file_id"]].splitlines()]
        requests = [(each["custom_id"], each["body"], each["body"]["model"]) for each in lines]
        name = (body.get("metadata") or {}).get("loom_batch", "")
        size = len(self._files[body["input_file_id"]])
        return await self._created(request, ChatCompletions(), requests, name, self._openai, size)

    async def _openai_list(self, request: web.Request) -> web.Response:
        shown = self._shown(request, ChatCompletions)
        return web.json_response({"object": "list", "data": [self._openai(each) for each in shown], "has_more": False})

    async def _openai_get(self, request: web.Request) -> web.Response:
        return self._one(request, self._openai)

    async def _openai_cancel(self, request: web.Request) -> web.Response:
        return self._one(request, self._openai, cancel=True)

    async def _content(self, request: web.Request) -> web.StreamResponse:
        kind, _, batch_id = request.match_info["id"].partition("-")
        batch = self.batches[batch_id]
        lines = []
        for key, _, _ in batch.requests:
            found = batch.results.get(key)
            if found is None and kind == "error" and batch.state(self.seconds) in ("expired", "cancelled"):
                error = {"code": f"batch_{batch.state(self.seconds)}", "message": "This request was not executed."}
                lines.append({"id": f"r-{key}", "custom_id": key, "response": None, "error": error})
            elif found is not None and (found["status"] >= 400) == (kind == "error"):
                response = {"status_code": found["status"], "body": found["body"]}
                lines.append({"id": f"r-{key}", "custom_id": key, "response": response, "error": None})
        return self._lines(batch, lines)

    def _openai(self, batch: SimulatedBatch) -> dict[str, Any]:
        state, done = self._worked(batch)
        errors = sum(each["status"] >= 400 for each in batch.results.values())
        document: dict[str, Any] = {
            "id": batch.id,
            "object": "batch",
            "status": "in_progress" if state == "running" else state,
            "created_at": int(batch.created),
            "metadata": {"loom_batch": batch.name} if batch.name else None,
            "request_counts": {"total": len(batch.requests), "completed": done - errors, "failed": errors},
        }
        if state == "failed":
            code = "token_limit_exceeded" if batch.fault == "too_much" else "invalid_json_line"
            document["errors"] = {"object": "list", "data": [{"code": code, "message": f"It failed: {code}"}]}
        elif state != "running":
            document |= {"output_file_id": f"output-{batch.id}", "error_file_id": f"error-{batch.id}"}
        return document

    async def _anthropic_create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        requests = [(each["custom_id"], each["params"], each["params"]["model"]) for each in body["requests"]]
        return await self._created(request, AnthropicMessages(), requests, "", self._anthropic)

    async def _anthropic_list(self, request: web.Request) -> web.Response:
        shown = [self._anthropic(each) for each in self._shown(request, AnthropicMessages)]
        return web.json_response({"data": shown, "has_more": False, "last_id": shown[-1]["id"] if shown else None})

    async def _anthropic_get(self, request: web.Request) -> web.Response:
        return self._one(request, self._anthropic)

    async def _anthropic_cancel(self, request: web.Request) -> web.Response:
        return self._one(request, self._anthropic, cancel=True)

    async def _anthropic_results(self, request: web.Request) -> web.StreamResponse:
        batch = self.batches[request.match_info["id"]]
        lines = []
        for key, _, _ in batch.requests:
            found = batch.results.get(key)
            if found is None:
                kind = "canceled" if batch.cancelled is not None else "expired"
                result: dict[str, Any] = {"type": kind}
            elif found["status"] >= 400:
                result = {"type": "errored", "error": found["body"]}
            else:
                result = {"type": "succeeded", "message": found["body"]}
            lines.append({"custom_id": key, "result": result})
        return self._lines(batch, lines)

    def _anthropic(self, batch: SimulatedBatch) -> dict[str, Any]:
        state, done = self._worked(batch)
        ended, rest = state != "running", len(batch.requests) - done
        errors = sum(each["status"] >= 400 for each in batch.results.values())
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "created_at": (_YEAR + dt.timedelta(seconds=batch.created - _YEAR.timestamp())).isoformat(),
            "cancel_initiated_at": None if batch.cancelled is None else _YEAR.isoformat(),
            "request_counts": {
                "processing": 0 if ended else rest,
                "succeeded": done - errors,
                "errored": errors,
                "canceled": rest if ended and state == "cancelled" else 0,
                "expired": rest if ended and state == "expired" else 0,
            },
        }

    async def _google_create(self, request: web.Request) -> web.StreamResponse:
        body = (await request.json())["batch"]
        model = request.match_info["model"]
        inside = body["inputConfig"]["requests"]["requests"]
        requests = [(each["metadata"]["key"], each["request"], model) for each in inside]
        return await self._created(request, GoogleContents(), requests, body["displayName"], self._google)

    async def _google_list(self, request: web.Request) -> web.Response:
        return web.json_response({"operations": [self._google(each) for each in self._shown(request, GoogleContents)]})

    async def _google_get(self, request: web.Request) -> web.Response:
        return self._one(request, self._google)

    async def _google_cancel(self, request: web.Request) -> web.Response:
        return self._one(request, self._google, cancel=True)

    def _google(self, batch: SimulatedBatch) -> dict[str, Any]:
        state, done = self._worked(batch)
        errors = sum(each["status"] >= 400 for each in batch.results.values())
        words = {"running": "RUNNING", "completed": "SUCCEEDED"}.get(state, state.upper())
        document: dict[str, Any] = {
            "name": f"batches/{batch.id}",
            "metadata": {
                "displayName": batch.name,
                "state": f"BATCH_STATE_{words}",
                "batchStats": {
                    "requestCount": str(len(batch.requests)),
                    "successfulRequestCount": str(done - errors),
                    "failedRequestCount": str(errors),
                },
            },
            "done": state != "running",
        }
        if state == "failed":
            document["error"] = {"code": 8 if batch.fault == "too_much" else 3, "message": "It failed"}
        elif state != "running":
            inlined = [
                {"metadata": {"key": key}}
                | ({"error": found["body"]["error"]} if found["status"] >= 400 else {"response": found["body"]})
                for key, _, _ in batch.requests
                if (found := batch.results.get(key)) is not None
            ]
            document["response"] = {"inlinedResponses": {"inlinedResponses": inlined}}
        return document

    async def _created(
        self,
        request: web.Request,
        wire: Format,
        requests: list[tuple[str, dict[str, Any], str]],
        name: str,
        shown: Callable[[SimulatedBatch], dict[str, Any]],
        size: int | None = None,
    ) -> web.StreamResponse:
        """`size` is the number of bytes of all requests, where they are not those of the document."""
        fault, kind = self.faults.popleft() if self.faults else None, type(wire)
        size = size or request.content_length or len(await request.read())
        too_many = len(requests) > self.most_requests.get(kind, len(requests))
        if fault == "413" or too_many or size > self.most_bytes[kind]:
            # Google says so with the status of a request that is wrong.
            status = 400 if kind is GoogleContents and fault != "413" else 413
            words = f"Request payload size exceeds the limit: {self.most_bytes[kind]} bytes."
            return web.json_response(wire.error(status, words, "request_too_large"), status=status)
        self.largest = max(self.largest, size)
        if fault in ("429", "500"):
            status = int(fault)
            return web.json_response(
                wire.error(status, "Not now", "rate_limit_exceeded"), status=status, headers={"Retry-After": "0.1"}
            )
        if fault == "never_arrives":
            return await _broken_off(request)
        self.submissions += 1
        batch = SimulatedBatch(f"batch_{self.submissions}", wire, requests, name, _key(request, wire), fault)
        self.batches[batch.id] = batch
        if fault == "lost_response":
            return await _broken_off(request)
        return web.json_response(shown(batch))

    def _one(
        self, request: web.Request, shown: Callable[[SimulatedBatch], dict[str, Any]], *, cancel: bool = False
    ) -> web.Response:
        batch = self.batches.get(request.match_info["id"])
        if batch is None or (self.projects and batch.key != _key(request, batch.wire)):
            return web.json_response({"error": {"message": "No such batch", "code": 404}}, status=404)
        if cancel and batch.state(self.seconds) == "running":
            batch.cancelled = time.time()
        self.polls += not cancel
        return web.json_response(shown(batch))

    def _shown(self, request: web.Request, kind: type[Format]) -> list[SimulatedBatch]:
        """Return the batches of a protocol, the newest first."""
        mine = [each for each in self.batches.values() if isinstance(each.wire, kind)]
        if self.projects:
            mine = [each for each in mine if each.key == _key(request, each.wire)]
        return mine[::-1]

    def _worked(self, batch: SimulatedBatch) -> tuple[str, int]:
        """Answer what a batch should have answered by now. Return its state and how many requests it is done with."""
        done = batch.done(self.seconds)
        for number, (key, body, model) in enumerate(batch.requests[:done]):
            if key in batch.results or (batch.fault == "missing" and number % 2):
                continue
            if batch.fault in ("errors", "refusals") and number % 2:
                status = 500 if batch.fault == "errors" else 400
                error = batch.wire.error(status, "It went wrong with this one", "invalid_request_error")
                batch.results[key] = {"status": status, "body": error}
                continue
            batch.results[key] = self._answer(batch.wire, body, model)
            self.paid[key] += batch.results[key]["status"] < 400
        return batch.state(self.seconds), done

    def _lines(self, batch: SimulatedBatch, lines: list[dict[str, Any]]) -> web.Response:
        batch.downloads += 1
        texts = [json.dumps(each) for each in reversed(lines)]  # results come in any order
        if batch.fault == "bad_lines":
            texts = [*texts, *texts[:1], '{"custom_id": "nobody", "response": {"body": {}}}', "no JSON", "[1]", ""]
        whole = "\n".join(texts) + ("\n" if texts else "")
        if batch.fault == "cut" and batch.downloads == 1:
            whole = whole[: len(whole) // 2]
        return web.Response(text=whole, content_type="application/x-jsonlines")


async def _broken_off(request: web.Request) -> web.StreamResponse:
    """Close the connection instead of answering."""
    if request.transport is not None:
        request.transport.close()
    await asyncio.sleep(0)
    return web.Response()


def _key(request: web.Request, wire: Format) -> str:
    return request.headers.get(wire.key_header, "none").removeprefix("Bearer ")
