"""Follows a record through the services by the spans that a collector receives."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from loom.project.config import LoomConfig
from loom.session import conversation
from loom_common.config.settings import TracingSettings
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import StageDelayed
from loom_common.flow import Stage, fact
from loom_common.ports import tracing
from loom_common.service.tracing import OtlpTracer
from loom_dev.backends.ports import reserve_port
from support.clients import ended, request_of
from support.in_one_process import services
from support.projects import ai, project
from support.simulated_model import SimulatedModel

JUDGED = {"field": "mood", "reference_field": "review", "threshold": 0.1}
SECRET = "planted-payload"


@dataclass
class Collector:
    """Holds the spans that were received, decoded."""

    url: str
    spans: list[Any] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def named(self, name: str) -> list[Any]:
        return [each for each in self.spans if each.name == name]

    def parent(self, span: Any) -> Any:
        [found] = [each for each in self.spans if each.span_id == span.parent_span_id]
        return found


def said(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
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


async def runs(folder: Path, model: SimulatedModel, settings: TracingSettings, number: int = 1) -> list[str]:
    """Run a pipeline with a model and a judge over a few records, and return the ids of its runs."""
    (folder / "loom.yaml").write_text("mode: embedded\n")
    evaluators = [{"type": "custom_criteria", "criteria": "Fits", **JUDGED}]
    made = project(
        folder / "traced",
        ({"id": f"r{each}", "review": f"{SECRET} {each}", "stars": "1"} for each in range(4)),
        name="traced",
        transform=ai(model.base_url),
        evaluate={"model": "gpt-4o", "base_url": model.base_url, "evaluators": evaluators},
        extract={"batch_size": 2},
    )
    found = []
    async with services(folder, tracing=settings) as platform, conversation(platform.bus) as client:
        for _ in range(number):
            request = request_of(made, LoomConfig.load(folder / "loom.yaml"), reuse=False)
            accepted = await client.start(request)
            assert (await ended(client, accepted.run_id)).report.status == "succeeded"
            found.append(accepted.run_id)
    return found


async def test_a_record_is_followed_from_the_request_to_the_destination(tmp_path):
    async with SimulatedModel() as model, collector() as received:
        [run_id] = await runs(tmp_path, model, TracingSettings(endpoint=received.url))
    [run] = received.named("run traced")
    assert (said(run)["loom.run_id"], said(run)["loom.status"], run.parent_span_id) == (run_id, "succeeded", b"")
    mine = [each for each in received.spans if each.trace_id == run.trace_id]

    asked = [each for each in mine if said(each).get("loom.record_id") and said(each)["loom.purpose"] == "transform"]
    assert len(asked) == 4
    transformed = received.parent(asked[0])
    assert transformed.name == "process loom.transform"
    extracted = received.parent(transformed)
    assert (extracted.name, received.parent(extracted)) == ("process loom.extract", run)

    [evaluated] = [each for each in received.named("process loom.evaluate") if received.parent(each) == transformed]
    judged = [each for each in mine if each.parent_span_id == evaluated.span_id and each.name == "chat gpt-4o"]
    assert {said(each)["loom.purpose"] for each in judged} == {"evaluate"}
    loads = [each for each in received.named("process loom.load") if each.parent_span_id == evaluated.span_id]
    assert [said(each)["loom.batch_id"] for each in loads] == [said(transformed)["loom.batch_id"]]

    told = said(asked[0])
    assert (told["gen_ai.operation.name"], told["gen_ai.provider.name"]) == ("chat", "openai")
    assert (told["gen_ai.request.model"], told["gen_ai.response.model"]) == ("gpt-4o-mini", "gpt-4o-mini")
    assert told["gen_ai.response.finish_reasons"].values[0].string_value == "stop"
    assert min(told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"], told["loom.cost_usd"]) > 0

    groups = received.named("process loom.coordinator.facts")
    linked = {link.span_id for each in groups for link in each.links}
    assert {extracted.span_id, transformed.span_id, evaluated.span_id, loads[0].span_id} <= linked
    assert all(SECRET.encode() not in body for body in received.bodies)


async def test_runs_that_are_not_sampled_are_not_traced_in_any_service(tmp_path):
    async with SimulatedModel() as model, collector() as received:
        await runs(tmp_path, model, TracingSettings(endpoint=received.url, sample=0.0))
    assert received.spans == []


def delayed() -> Outgoing:
    message = StageDelayed(run_id="run_1", stage=Stage.LOAD, cause="m", attempt=1, delay=5.0, reason="locked")
    return Outgoing(fact("stage", "delayed", "p"), message)


async def test_a_message_says_which_span_it_was_sent_in_and_a_foreign_one_changes_no_trace():
    async with collector() as received:
        tracer = OtlpTracer("test", TracingSettings(endpoint=received.url))
        with tracing.using(tracer):
            root = str(encode(delayed(), "test").headers["traceparent"])
            with tracer.consumed("first", "run_1", {"traceparent": root}, {}):
                first = encode(delayed(), "test").headers
            with (
                tracer.consumed("second", "run_1", first, {}),
                pytest.raises(ZeroDivisionError),
                tracer.called("third", {}),
            ):
                raise ZeroDivisionError(SECRET)
            with tracer.consumed("other run", "run_2", first, {}):
                assert encode(delayed(), "test").headers["traceparent"] == root
            with tracer.consumed("nonsense", "run_1", {"traceparent": "00-zz"}, {}):
                pass
        await asyncio.to_thread(tracer.close)
        assert "traceparent" not in encode(delayed(), "test").headers
    spans = {each.name: each for each in received.spans}
    assert spans["first"].parent_span_id.hex() == root.split("-")[2]
    assert spans["nonsense"].parent_span_id == spans["first"].parent_span_id
    assert spans["second"].parent_span_id == spans["first"].span_id
    assert spans["other run"].trace_id != spans["first"].trace_id
    assert (spans["third"].parent_span_id, spans["third"].status.code) == (spans["second"].span_id, 2)
    assert said(spans["third"]) == {"error.type": "ZeroDivisionError"}
    assert all(SECRET.encode() not in body for body in received.bodies)


def test_nothing_of_opentelemetry_is_imported_where_tracing_is_not_configured():
    code = (
        "import sys; from loom_common.service import entry; entry.begin(); "
        "import loom.engine, loom_common.service.bootstrap, loom_transformer.service, loom_coordinator.service; "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0
