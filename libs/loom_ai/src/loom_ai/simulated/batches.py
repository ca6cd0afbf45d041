"""Implements the batch APIs of OpenAI, Anthropic and Google on the server's side, without a model.

A batch takes `seconds`. Until then a share of its requests is answered, as much as of the time has passed. What is
answered in a batch counts as paid, by the name of the request, so that a test sees whether one was paid for twice."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from aiohttp import web

from loom_ai.simulated.batch import MOST_BYTES, MOST_REQUESTS, SimulatedBatch
from loom_ai.simulated.batch_documents import (
    anthropic_document,
    anthropic_lines,
    google_document,
    openai_document,
    openai_lines,
)
from loom_ai.simulated.formats import AnthropicMessages, ChatCompletions, Format, GoogleContents

Answer = Callable[[Format, dict[str, Any], str], dict[str, Any]]
Document = Callable[[SimulatedBatch, str, int], dict[str, Any]]
"""Writes a batch, its state and how many of its requests are done, as a provider shows it."""


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
        return await self._created(request, ChatCompletions(), requests, name, openai_document, size)

    async def _openai_list(self, request: web.Request) -> web.Response:
        shown = self._shown(request, ChatCompletions, openai_document)
        return web.json_response({"object": "list", "data": shown, "has_more": False})

    async def _openai_get(self, request: web.Request) -> web.Response:
        return self._one(request, openai_document)

    async def _openai_cancel(self, request: web.Request) -> web.Response:
        return self._one(request, openai_document, cancel=True)

    async def _content(self, request: web.Request) -> web.StreamResponse:
        kind, _, batch_id = request.match_info["id"].partition("-")
        batch = self.batches[batch_id]
        return self._lines(batch, openai_lines(batch, batch.state(self.seconds), kind))

    async def _anthropic_create(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        requests = [(each["custom_id"], each["params"], each["params"]["model"]) for each in body["requests"]]
        return await self._created(request, AnthropicMessages(), requests, "", anthropic_document)

    async def _anthropic_list(self, request: web.Request) -> web.Response:
        shown = self._shown(request, AnthropicMessages, anthropic_document)
        return web.json_response({"data": shown, "has_more": False, "last_id": shown[-1]["id"] if shown else None})

    async def _anthropic_get(self, request: web.Request) -> web.Response:
        return self._one(request, anthropic_document)

    async def _anthropic_cancel(self, request: web.Request) -> web.Response:
        return self._one(request, anthropic_document, cancel=True)

    async def _anthropic_results(self, request: web.Request) -> web.StreamResponse:
        batch = self.batches[request.match_info["id"]]
        return self._lines(batch, anthropic_lines(batch))

    async def _google_create(self, request: web.Request) -> web.StreamResponse:
        body = (await request.json())["batch"]
        model = request.match_info["model"]
        inside = body["inputConfig"]["requests"]["requests"]
        requests = [(each["metadata"]["key"], each["request"], model) for each in inside]
        return await self._created(request, GoogleContents(), requests, body["displayName"], google_document)

    async def _google_list(self, request: web.Request) -> web.Response:
        return web.json_response({"operations": self._shown(request, GoogleContents, google_document)})

    async def _google_get(self, request: web.Request) -> web.Response:
        return self._one(request, google_document)

    async def _google_cancel(self, request: web.Request) -> web.Response:
        return self._one(request, google_document, cancel=True)

    async def _created(
        self,
        request: web.Request,
        wire: Format,
        requests: list[tuple[str, dict[str, Any], str]],
        name: str,
        shown: Document,
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
        return web.json_response(self._document(shown, batch))

    def _one(self, request: web.Request, shown: Document, *, cancel: bool = False) -> web.Response:
        batch = self.batches.get(request.match_info["id"])
        if batch is None or (self.projects and batch.key != _key(request, batch.wire)):
            return web.json_response({"error": {"message": "No such batch", "code": 404}}, status=404)
        if cancel and batch.state(self.seconds) == "running":
            batch.cancelled = time.time()
        self.polls += not cancel
        return web.json_response(self._document(shown, batch))

    def _shown(self, request: web.Request, kind: type[Format], shown: Document) -> list[dict[str, Any]]:
        """Return the batches of a protocol, the newest first."""
        mine = [each for each in self.batches.values() if isinstance(each.wire, kind)]
        if self.projects:
            mine = [each for each in mine if each.key == _key(request, each.wire)]
        return [self._document(shown, each) for each in reversed(mine)]

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

    def _document(self, shown: Document, batch: SimulatedBatch) -> dict[str, Any]:
        return shown(batch, *self._worked(batch))

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
