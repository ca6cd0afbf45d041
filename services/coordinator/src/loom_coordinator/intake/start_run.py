"""Starts runs: makes a run of a request, or of a plan, and asks for its first slice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sqlalchemy import select

from loom_common.contracts.v1 import LineageParent, PlaceFound, Preflight, RunAccepted, RunRequest
from loom_common.domain.checks.frozen_schema import frozen_mistakes
from loom_common.domain.checks.plan_check import plan_mistakes
from loom_common.domain.definition.reader import parse
from loom_common.domain.model_options.params import resolved
from loom_common.domain.run.plan import Plan
from loom_common.domain.values.durations import seconds
from loom_common.domain.values.ids import new_run_id, run_id_for
from loom_common.domain.values.stored_records import name_in, owner_of
from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError, InvalidDefinition
from loom_common.ports.payloads import PayloadStore
from loom_coordinator.accounting import estimates, incremental, schemas
from loom_coordinator.accounting.cascades import savings
from loom_coordinator.db import ingest_keys, run_rows, streams
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.flow_control import windows
from loom_coordinator.intake import begin_at
from loom_coordinator.intake.definitions.given_records import definition_of_run, keeping_rows
from loom_coordinator.intake.definitions.prompt_versions import contexts_of, prompt_version, version_of
from loom_coordinator.intake.definitions.registered import definition_meant, enter, see_what_it_spawns
from loom_coordinator.lifecycle import partitions, slices, stalls
from loom_coordinator.lifecycle import preflight as preflight_questions

_LARGEST_SAMPLE = 2**31 - 1
"""The most records of a sample: what a column of a database holds, and more than a sample is made for."""


OpenStream = Callable[
    [UnitOfWork, PayloadStore, Plan, Mapping[str, Any], float | None, begin_at.Start | None], Awaitable[RunAccepted]
]
"""Opens the stream of a plan, or lets it go on, with what the row of each of its windows says. The last two are the
share of the records that the plan has on trial, None for all; and what has its next window begin elsewhere."""
Asking = Mapping[str, Any]
"""Says how to answer a request that waits for something."""


async def accept(
    unit: UnitOfWork,
    payloads: PayloadStore,
    request: RunRequest,
    *,
    every_hop: bool,
    open_stream: OpenStream,
    asking: Asking,
    place: PlaceFound | None = None,
) -> RunAccepted | None:
    """Start the run that is asked for; an idempotency key seen before is answered with its run. With `every_hop` its
    batches visit every stage. A pipeline that never ends is given to `open_stream`.

    A stream that is to begin at a place of its source is begun once that is found: without a `place` an extractor is
    asked for it, who is given `asking`, too. Nothing is changed then, and None returned.

    Raises `InvalidDefinition` with every mistake, and `ConfigurationError` for a key of another pipeline's run."""
    run_id = run_id_for(request.idempotency_key) if request.idempotency_key else new_run_id()
    if request.idempotency_key and (known := await _status(unit, run_id)) is not None:
        asked = request.pipeline or (request.definition or {}).get("name")
        if asked != known[0]:
            raise ConfigurationError(
                f"The idempotency key {request.idempotency_key} has started {run_id} of the pipeline {known[0]}, and "
                f"this request is for {asked}. Give it a key of its own."
            )
        return RunAccepted(run_id=run_id, pipeline=known[0], status=known[1])
    given = await definition_meant(unit, request)
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
    await see_what_it_spawns(unit, pipeline)
    begin_at.see_that_it_ends(request, pipeline, is_stream=_is_stream(plan))
    if request.begin_at is not None or request.again:
        begin_at.see_that_it_can(request, pipeline, is_stream=_is_stream(plan))
        if place is None:
            await begin_at.ask(unit, payloads, request, plan, asking)
            return None
    await enter(unit, plan, given)
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
        begins = None if place is None else await begin_at.start_of(unit, request, place)
        return await open_stream(unit, payloads, plan, columns, request.canary, begins)
    if request.canary is not None:
        raise ConfigurationError(
            f"The pipeline {pipeline.name} is no stream, or this is a sample of it: a version has a share of the "
            "records of a stream alone (`mode: streaming`)."
        )
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
        lineage_parent=request.lineage_parent,
    )
    await incremental.enter(unit, run_id, plan, full=request.full_refresh)
    if request.claims is not None:
        await ingest_keys.take_over(unit.connection, request.claims, run_id)
    return RunAccepted(run_id=run_id, pipeline=pipeline.name, status=run_rows.RUNNING)


def _is_stream(plan: Plan) -> bool:
    """Tell whether a plan is one of a stream. A trial, and a run over records that are given to it, ends."""
    pipeline = plan.pipeline
    return pipeline.mode == "streaming" and plan.limit is None and name_in(pipeline.extract.source) is None


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
    lineage_parent: LineageParent | None = None,
) -> None:
    """Enter the run and ask for its first slice. It may cost `budget` USD, and no more than its pipeline says."""
    plan_hash = await payloads.put(plan.encoded())
    columns = await columns_of(unit, plan, definition, requested_by=requested_by, priority=priority, budget=budget)
    begun = {
        "run_id": run_id,
        "plan": plan_hash,
        "execution_date": unit.now,
        "started_at": unit.now,
        "status": run_rows.RUNNING,
        "preflight": None if preflight is None else preflight.model_dump(mode="json"),
        "idempotency_key": idempotency_key,
        "lineage_parent": None if lineage_parent is None else lineage_parent.model_dump(),
        "epoch": 1,
        "owner": unit.owner,
        "deadline": unit.now + dt.timedelta(seconds=seconds(stalls.timeouts_in(definition).run)),
    }
    run = await run_rows.enter(unit, {**columns, **begun})
    await schemas.begin(unit, run_id, plan)
    whole = await partitions.begin(unit, run_id, plan.limit)
    embedded = unit.owner is not None
    splits = partitions.may_be_split(plan, embedded=embedded)
    if preflight_questions.is_wanted(plan, embedded=embedded):
        await preflight_questions.ask(unit, run, splits=splits)
    elif splits:
        await partitions.ask(unit, run)
    else:
        await slices.release(unit, run, known=[whole])


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
    of_day = pipeline.monitoring.cost_budget_per_day
    records = name_in(pipeline.extract.source)
    batches_per_slice = windows.slice_batches(pipeline.extract.batch_size)
    least_window = windows.batch_window(pipeline)
    return {
        "pipeline_name": pipeline.name,
        "pipeline_version": pipeline.version,
        "prompt_version": prompt_version(plan),
        "model": pipeline.transform.made_by,
        "context_versions": {path: version_of(text) for path, text in contexts_of(plan).items()},
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
        "day_budget": None if of_day is None or plan.stream is None else of_day.model_dump(),
        "estimate": await estimates.newest(unit, pipeline.state_name),
        "slice_batches": batches_per_slice,
        "credit_window": max(windows.full_window(batches_per_slice), least_window or 0),
        "least_window": least_window,
    }


async def _status(unit: UnitOfWork, run_id: str) -> tuple[str, str] | None:
    row = await unit.connection.execute(
        select(pipeline_runs.c.pipeline_name, pipeline_runs.c.status).where(pipeline_runs.c.run_id == run_id)
    )
    found = row.one_or_none()
    return (found[0], found[1]) if found else None
