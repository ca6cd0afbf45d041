"""Receives spans as a collector of OpenTelemetry does, by OTLP over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from loom_dev.backends.ports import reserve_port


@dataclass
class Collector:
    """Holds the spans that were received, decoded."""

    url: str
    spans: list[Any] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def named(self, name: str) -> list[Any]:
        """Return the spans of this name."""
        return [each for each in self.spans if each.name == name]

    def parent(self, span: Any) -> Any:
        """Return the span that another one is below."""
        [found] = [each for each in self.spans if each.span_id == span.parent_span_id]
        return found


def said(span: Any) -> dict[str, Any]:
    """Return what a span says of itself."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """Serve a collector on a port of its own."""
    port = reserve_port()
    received = Collector(f"http://127.0.0.1:{port}")

    async def take(request: web.Request) -> web.Response:
        body = await request.read()  # aiohttp has unpacked it
        received.bodies.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                received.spans += scope.spans
        return web.Response(body=b"", content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield received
    finally:
        await runner.cleanup()
