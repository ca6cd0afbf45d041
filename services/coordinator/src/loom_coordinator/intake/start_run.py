"""Run requests: from a message anyone may publish to a run, or to an answer that names every mistake."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from loom_common import flow
from loom_common.contracts.envelope import Outgoing
from loom_common.contracts.v1 import (
    Mistake,
    PipelineRegistered,
    Preflight,
    RegisterPipeline,
    RunAccepted,
    RunRejected,
    RunRequest,
)
from loom_common.domain.checks.frozen_schema import frozen_mistakes
from loom_common.domain.checks.plan_check import plan_mistakes
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.reader import parse
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.model_options.params import example, resolved
from loom_common.domain.question.template import written_question
from loom_common.domain.run.plan import Plan
from loom_common.domain.steps.views import by_step
from loom_common.domain.values.durations import seconds
from loom_common.domain.values.ids import content_hash, new_run_id, run_id_for
from loom_common.domain.values.stored_records import name_in, owner_of
from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError, InvalidDefinition, Problem
from loom_common.flow import Exchange, Route
from loom_common.ports.bus import Delivery
from loom_common.ports.payloads import PayloadStore
from loom_coordinator.accounting import estimates, incremental, schemas
from loom_coordinator.accounting.cascades import savings
from loom_coordinator.db import ingest_keys, run_rows, streams
from loom_coordinator.db.tables.runs import (
    context_versions,
    pipeline_runs,
    pipelines,
    prompt_versions,
    rejected_requests,
)
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.flow_control import windows
from loom_coordinator.intake import apply_facts
from loom_coordinator.intake.given_records import definition_of_run, keeping_rows
from loom_coordinator.lifecycle import partitions, stalls
from loom_coordinator.lifecycle import preflight as preflight_questions

_LARGEST_SAMPLE = 2**31 - 1
"""The most records of a sample: what a column of a database holds, and more than a sample is made for."""


@dataclass(frozen=True, slots=True)
class Registered:
    """Represents a pipeline as it is stored."""

    definition: dict[str, Any]
    files: dict[str, str]
    base: str


OpenStream = Callable[[UnitOfWork, PayloadStore, Plan, Mapping[str, Any]], Awaitable[RunAccepted]]
"""Opens the stream of a plan, or lets it go on, with what the row of each of its windows says."""


async def accept(
    unit: UnitOfWork, payloads: PayloadStore, request: RunRequest, *, every_hop: bool, open_stream: OpenStream
) -> RunAccepted:
    """Start the run that is asked for; an idempotency key seen before is answered with its run. With `every_hop` its
    batches visit every stage. A pipeline that never ends is given to `open_stream`.

    Raises `InvalidDefinition` with every mistake, and `ConfigurationError` for a key of another pipeline's run."""
    run_id = run_id_for(request.idempotency_key) if request.idempotency_key else new_run_id()
    if (known := await _status(unit, run_id)) is not None:
        asked = request.pipeline or (request.definition or {}).get("name")
        if asked != known[0]:
            raise ConfigurationError(
                f"The idempotency key {request.idempotency_key} has started {run_id} of the pipeline {known[0]}, and "
                f"this request is for {asked}. Give it a key of its own."
            )
        return RunAccepted(run_id=run_id, pipeline=known[0], status=known[1])
    given = await _definition(unit, request)
    definition = keeping_rows(definition_of_run(given.definition, request.records), request.rows)
    pipeline = parse(definition)
    plan = Plan(
        pipeline=pipeline,
        files=given.files,
        base=given.base,
        params=resolved(pipeline.params, request.params),
        limit=None if request.sample is None else min(request.sample, _LARGEST_SAMPLE),
        reuse=request.reuse,
        beside=request.sample is not None and not request.load,
        outputs=request.outputs and request.records is not None,
        every_hop=every_hop,
    )
    plan = await schemas.with_stored(unit, plan)
    plan = await incremental.begin(unit, plan, full=request.full_refresh)
    if mistakes := [*plan_mistakes(plan), *frozen_mistakes(plan)]:
        raise InvalidDefinition(mistakes)
    await _register(unit, plan, given)
    if _is_stream(plan):
        plan = plan.model_copy(update={"stream": streams.id_of(pipeline), "window": None})
        columns = await columns_of(
            unit,
            plan,
            definition,
            requested_by=request.requested_by,
            priority=request.priority,
            budget=request.budget,
        )
        return await open_stream(unit, payloads, plan, columns)
    await start(
        unit,
        payloads,
        run_id,
        plan,
        definition=definition,
        requested_by=request.requested_by,
        idempotency_key=request.idempotency_key,
        preflight=request.preflight,
        priority=request.priority,
        budget=request.budget,
    )
    await incremental.enter(unit, run_id, plan, full=request.full_refresh)
    if request.claims is not None:
        await ingest_keys.take_over(unit.connection, request.claims, run_id)
    return RunAccepted(run_id=run_id, pipeline=pipeline.name, status=run_rows.RUNNING)


def _is_stream(plan: Plan) -> bool:
    """Tell whether a plan is one of a stream. A trial, and a run over records that are given to it, ends."""
    pipeline = plan.pipeline
    return pipeline.mode == "streaming" and plan.limit is None and name_in(pipeline.extract.source) is None


async def register(unit: UnitOfWork, request: RegisterPipeline) -> PipelineRegistered:
    """Enter a pipeline without running it. Raises `InvalidDefinition` with every mistake."""
    pipeline = parse(request.definition)
    values = {
        name: example(spec.type) if spec.default is None else spec.default for name, spec in pipeline.params.items()
    }
    plan = Plan(pipeline=pipeline, files=request.files, base=request.base, params=resolved(pipeline.params, values))
    if mistakes := [*plan_mistakes(plan)]:
        raise InvalidDefinition(mistakes)
    given = Registered(request.definition, request.files, request.base)
    await _register(unit, plan, given, explicit=True)
    return PipelineRegistered(pipeline=pipeline.name, version=pipeline.version)


async def start(
    unit: UnitOfWork,
    payloads: PayloadStore,
    run_id: str,
    plan: Plan,
    *,
    definition: Mapping[str, Any],
    requested_by: str | None,
    priority: int,
    idempotency_key: str | None = None,
    preflight: Preflight | None = None,
    budget: float | None = None,
) -> None:
    """Enter the run and ask for its first slice. It may cost `budget` USD, and no more than its pipeline says."""
    pipeline = plan.pipeline
    plan_hash = await payloads.put(plan.encoded())
    columns = await columns_of(unit, plan, definition, requested_by=requested_by, priority=priority, budget=budget)
    await unit.connection.execute(
        pipeline_runs.insert().values(
            **columns,
            run_id=run_id,
            plan=plan_hash,
            execution_date=unit.now,
            started_at=unit.now,
            status=run_rows.RUNNING,
            preflight=None if preflight is None else preflight.model_dump(mode="json"),
            idempotency_key=idempotency_key,
            epoch=1,
            owner=unit.owner,
            deadline=unit.now + dt.timedelta(seconds=seconds(stalls.timeouts_in(definition).run)),
        )
    )
    await schemas.begin(unit, run_id, plan)
    run = (await run_rows.lock(unit, [run_id]))[run_id]
    await partitions.begin(unit, run_id, plan.limit)
    embedded = unit.owner is not None
    checked = preflight_questions.is_wanted(plan, embedded=embedded)
    if partitions.may_be_split(plan, embedded=embedded):
        await partitions.ask(unit, run, pipeline.extract, held=checked)
    if checked:
        await preflight_questions.ask(unit, run)
    await apply_facts.advance(unit, run)


async def columns_of(
    unit: UnitOfWork,
    plan: Plan,
    definition: Mapping[str, Any],
    *,
    requested_by: str | None,
    priority: int,
    budget: float | None = None,
) -> dict[str, Any]:
    """Return what the row of a run says of its plan and of its request, as JSON values."""
    pipeline = plan.pipeline
    records = name_in(pipeline.extract.source)
    batches_per_slice = windows.slice_batches(pipeline.extract.batch_size)
    least_window = windows.batch_window(pipeline)
    return {
        "pipeline_name": pipeline.name,
        "pipeline_version": pipeline.version,
        "prompt_version": prompt_version(plan),
        "model": pipeline.transform.made_by,
        "context_versions": {path: _version(text) for path, text in _contexts(plan).items()},
        "definition": dict(definition),
        "params": plan.params,
        "requested_by": requested_by,
        "replay_of": plan.replay.run_id if plan.replay else None,
        "sample": plan.limit if plan.beside and not plan.replay else None,
        "destination": redacted(pipeline.load.destination),
        "records": None if records is None else owner_of(records),
        "keeps_outputs": plan.outputs,
        "promises": savings.promises_of(plan),
        "target": pipeline.target,
        "priority": priority,
        "budget": min((each for each in (budget, pipeline.monitoring.cost_budget) if each is not None), default=None),
        "estimate": await estimates.newest(unit, pipeline.state_name),
        "slice_batches": batches_per_slice,
        "credit_window": max(windows.full_window(batches_per_slice), least_window or 0),
        "least_window": least_window,
    }


async def reject(
    unit: UnitOfWork, error: ConfigurationError, request: RunRequest | RegisterPipeline | None
) -> RunRejected:
    """Record a request that cannot be carried out, and say why."""
    problems = error.problems if isinstance(error, InvalidDefinition) else ()
    mistakes = tuple(
        Mistake(path=problem.path, found=problem.found, expected=problem.expected, suggestion=problem.suggestion)
        for problem in problems
    )
    named = request.pipeline if isinstance(request, RunRequest) else None
    name = named or (request.definition or {}).get("name") if request else None
    await unit.connection.execute(
        rejected_requests.insert().values(
            pipeline_name=str(name) if name is not None else None,
            requested_by=request.requested_by if request else None,
            error=str(error),
            mistakes=[mistake.model_dump() for mistake in mistakes],
            received_at=unit.now,
        )
    )
    return RunRejected(error=str(error), mistakes=mistakes)


def answer(unit: UnitOfWork, asked: Delivery, message: RunAccepted | PipelineRegistered | RunRejected) -> None:
    """Send the answer where one is wanted, under the correlation id of the question."""
    if asked.reply_to:
        route = Route(Exchange.DIRECT, asked.reply_to)
        unit.send(Outgoing(route, message, mandatory=False, correlation_id=asked.correlation_id))


def announce(unit: UnitOfWork, accepted: RunAccepted) -> None:
    """Tell everyone who listens that a run began."""
    unit.send(Outgoing(flow.fact("run", "accepted", accepted.pipeline), accepted, mandatory=False))


async def _status(unit: UnitOfWork, run_id: str) -> tuple[str, str] | None:
    row = await unit.connection.execute(
        select(pipeline_runs.c.pipeline_name, pipeline_runs.c.status).where(pipeline_runs.c.run_id == run_id)
    )
    found = row.one_or_none()
    return (found[0], found[1]) if found else None


async def _definition(unit: UnitOfWork, request: RunRequest) -> Registered:
    if (request.definition is None) == (request.pipeline is None):
        raise InvalidDefinition(
            [Problem((), "both or none of `pipeline` and `definition`", "one: a registered name, or a definition")]
        )
    if request.definition is not None:
        return Registered(request.definition, request.files, request.base)
    row = (
        (await unit.connection.execute(select(pipelines).where(pipelines.c.name == request.pipeline)))
        .mappings()
        .one_or_none()
    )
    if row is None:
        names = (await unit.connection.execute(select(pipelines.c.name).order_by(pipelines.c.name))).scalars().all()
        expected = f"a registered pipeline: {', '.join(names)}" if names else "a registered pipeline; there is none yet"
        raise InvalidDefinition([Problem(("pipeline",), repr(request.pipeline), expected)])
    return Registered(row["definition"], row["files"], row["base"])


async def _register(unit: UnitOfWork, plan: Plan, given: Registered, *, explicit: bool = False) -> None:
    """Enter the pipeline. One that is only tried, or that runs for another target than the one registered, does not
    take the place of what is registered; one that is entered for itself does (`explicit`)."""
    pipeline = plan.pipeline
    keeps = plan.beside or not (explicit or await _is_of_target(unit, pipeline))
    changed = ("version", "description", "definition", "files", "base", "updated_at")
    await unit.upsert(
        pipelines,
        [
            {
                "name": pipeline.name,
                "version": pipeline.version,
                "description": pipeline.description,
                "definition": given.definition,
                "files": given.files,
                "base": given.base,
                "created_at": unit.now,
                "updated_at": unit.now,
            }
        ],
        update=() if keeps else changed,
    )
    await register_prompt(unit, plan)
    contexts = []
    for path, text in _contexts(plan).items():
        row = _content_row(f"{pipeline.name}/{path[:200]}", None, text, unit)
        contexts.append(row | {"context_name": row.pop("name"), "format": path.rsplit(".", 1)[-1]})
    await unit.upsert(context_versions, contexts, update=())


async def _is_of_target(unit: UnitOfWork, pipeline: Pipeline) -> bool:
    """Tell whether what is registered under the pipeline's name was made for the same target, or nothing is."""
    query = select(pipelines.c.definition).where(pipelines.c.name == pipeline.name)
    row = (await unit.connection.execute(query)).one_or_none()
    return row is None or row[0].get("target") == pipeline.target


async def register_prompt(unit: UnitOfWork, plan: Plan) -> None:
    """Enter the prompt, or that of each step, as a version of its own, where it is not one already."""
    for transform in _asking(plan):
        text = written_question(plan, transform)
        row = _content_row(f"{plan.pipeline.name}/{transform.prompt[:200]}", transform.prompt_version, text, unit)
        row |= {"prompt_name": row.pop("name"), "template_engine": "jinja2", "required_context": transform.context}
        await unit.upsert(prompt_versions, [row], update=())


def _content_row(name: str, version: str | None, text: str, unit: UnitOfWork) -> dict[str, Any]:
    return {
        "name": name,
        "version": version or _version(text),
        "content_hash": content_hash(text.encode()),
        "content": text,
        "created_at": unit.now,
        "created_by": None,
    }


def prompt_version(plan: Plan) -> str | None:
    """Return the user's name for the prompt's version, else the beginning of its content hash; of several steps that
    of all their prompts together."""
    texts = [each.prompt_version or _version(written_question(plan, each)) for each in _asking(plan)]
    return (texts[0] if len(texts) == 1 else _version("\n".join(texts))) if texts else None


def _asking(plan: Plan) -> list[AiTransformConfig]:
    """Return the transform, or the steps of it, that asks a model with a prompt."""
    transforms = (alone.transform for _, alone in by_step(plan.pipeline))
    return [each for each in transforms if isinstance(each, AiTransformConfig)]


def _contexts(plan: Plan) -> dict[str, str]:
    """Return the text of every context file and file of examples of the prompts, by path."""
    paths = [
        path for each in _asking(plan) for path in (*each.context, *([each.examples.file] if each.examples else []))
    ]
    return {path: plan.files.get(path, "") for path in paths}


def _version(text: str) -> str:
    return content_hash(text.encode())[:12]
