"""Follows a record through the services by the spans that a collector receives."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from loom.project.config import LoomConfig
from loom.session import conversation
from loom_common.config.settings import TracingSettings
from loom_common.contracts.encoding.codec import encode
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import RunRequest, StageDelayed
from loom_common.domain.run.replaying import Changes
from loom_common.flow import Stage, fact
from loom_common.ports import tracing
from loom_common.service.tracing import OtlpTracer
from support.clients import ended, request_of
from support.in_one_process import services
from support.projects import ai, project
from support.simulated_model import SimulatedModel
from support.span_collector import collector, said

JUDGED = {"field": "mood", "reference_field": "review"}
SECRET = "planted-payload"


def traced(folder: Path, model: SimulatedModel, threshold: float = 0.1) -> RunRequest:
    """Write a pipeline with a model and a judge over a few records, and return what asks for a run of it."""
    (folder / "loom.yaml").write_text("mode: embedded\n")
    evaluators = [{"type": "custom_criteria", "name": "fits", "criteria": "Fits", **JUDGED, "threshold": threshold}]
    made = project(
        folder / "traced",
        ({"id": f"r{each}", "review": f"{SECRET} {each}", "stars": "1"} for each in range(4)),
        name="traced",
        transform=ai(model.base_url),
        evaluate={"model": "gpt-4o", "base_url": model.base_url, "evaluators": evaluators},
        extract={"batch_size": 2},
    )
    return request_of(made, LoomConfig.load(folder / "loom.yaml"), reuse=False)


async def runs(folder: Path, model: SimulatedModel, settings: TracingSettings, number: int = 1) -> list[str]:
    """Run the pipeline, and return the ids of its runs."""
    request = traced(folder, model)
    found = []
    async with services(folder, tracing=settings) as platform, conversation(platform.bus) as client:
        for _ in range(number):
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


async def test_a_record_is_followed_into_the_quarantine_and_through_its_replay(tmp_path):
    async with SimulatedModel() as model, collector() as received:
        request = traced(tmp_path, model, threshold=1.0)
        settings = TracingSettings(endpoint=received.url)
        async with services(tmp_path, tracing=settings) as platform, conversation(platform.bus) as client:
            first = (await client.start(request)).run_id
            assert (await ended(client, first)).report.records["rejected"] == 4
            changes = Changes(thresholds={"fits": 0.0}, prompt="Of {{ input.id }}, good or bad: {{ input.review }}")
            second = (await client.replay(first, ("r1",), changes)).run_id
            assert (await ended(client, second)).report.records["loaded"] == 1
    original, replay = sorted(received.named("run traced"), key=lambda each: said(each)["loom.run_id"] == second)
    [link] = replay.links
    assert (link.trace_id, link.span_id) == (original.trace_id, original.span_id)
    assert [(each.key, each.value.string_value) for each in link.attributes] == [("loom.link", "replay_of")]
    assert replay.trace_id != original.trace_id

    ways = []
    for run in (original, replay):
        [asked] = [
            each
            for each in received.spans
            if each.trace_id == run.trace_id
            and (said(each).get("loom.record_id"), said(each).get("loom.purpose")) == ("r1", "transform")
        ]
        way = [received.parent(asked)]
        while way[0] != run:
            way.insert(0, received.parent(way[0]))
        while below := [each for each in received.spans if each.parent_span_id == way[-1].span_id and each.kind == 5]:
            way += below
        ways.append([each.name for each in way])
    assert ways == [
        ["run traced", *(f"process loom.{each}" for each in ("extract", "transform", "evaluate", "quarantine"))],
        ["run traced", *(f"process loom.{each}" for each in ("replay", "transform", "evaluate", "load", "quarantine"))],
    ]
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
            with tracer.consumed("first", "run_1", {"traceparent": root}, dict):
                first = encode(delayed(), "test").headers
            with (
                tracer.consumed("second", "run_1", first, dict),
                pytest.raises(ZeroDivisionError),
                tracer.called("third", dict),
            ):
                raise ZeroDivisionError(SECRET)
            with tracer.consumed("other run", "run_2", first, dict):
                assert encode(delayed(), "test").headers["traceparent"] == root
            with tracer.consumed("nonsense", "run_1", {"traceparent": "00-zz"}, dict):
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
        "import loom.engine, loom_common.service.bootstrap, loom_transformer.handling, loom_coordinator.service; "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0
