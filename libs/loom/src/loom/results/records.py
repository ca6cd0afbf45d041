"""Gives the records of a run with their outputs, and all that is known of one of them.

Records that were kept back stand in quarantine. The others are read from the source once more, and what a model
answered is read from the journal: no model is asked for anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from loom import kept_record
from loom.kept_record import RecordStory
from loom.project.config import LoomConfig
from loom.rescoring.evaluate import ended_run, opened_platform, opened_state, settings_of
from loom.rescoring.outputs import Outputs, Source
from loom.rescoring.stages import opened_source
from loom_common.async_engine import AsyncEngine
from loom_common.domain.json_values.shown import Shown
from loom_common.errors import NotFound
from loom_common.service.bootstrap import Platform
from loom_coordinator.db.run import Run
from loom_coordinator.queries import records
from loom_coordinator.queries.records import Answer, AnsweredBy, CallsForRecord, Score
from loom_quarantine import queries
from loom_quarantine.queries import RecordFilter, WholeRecord

LOADED = "loaded"


@dataclass(frozen=True, slots=True)
class ResultLine(Shown):
    """Describes a record of a run on a line."""

    record_id: str
    outcome: str
    """Says what became of it: `loaded`, `rejected`, `quarantined` or `skipped`."""
    scores: Mapping[str, float]
    """Holds the scores by the evaluators' names."""
    output: Mapping[str, Any] | None
    """None where it has none, or its output is no longer to be had."""
    reason: str | None
    """Says why it was kept back, or why its output is gone; None for what was loaded."""


@dataclass(frozen=True, slots=True)
class Results(Shown):
    """Holds records of a run."""

    run_id: str
    pipeline: str
    records: Sequence[ResultLine]
    in_all: int
    """The number of records that the run read."""
    trouble: str | None
    """Says why the source cannot be read any more; None where it can."""


@dataclass(frozen=True, slots=True)
class RecordResult(Shown):
    """Holds all that is known of one record of a run."""

    run_id: str
    pipeline: str
    record_id: str
    outcome: str
    input: Mapping[str, Any]
    prompt: str | None
    """The question that a model was asked; None where none was."""
    output: Mapping[str, Any] | None
    gone: str | None
    """Says why the output is no longer to be had; None where it is there, or there never was one."""
    answers: Sequence[Answer] | None
    """The answers that the run paid for; None where the journal cannot tell record by record. Those of an earlier run
    that were used again are not among them."""
    answered_by: AnsweredBy | None
    """Names the tier of a cascade, or the fallback, that answered; None where there is none."""
    scores: Sequence[Score]
    calls: Sequence[CallsForRecord] | None
    cost: float | None
    """An amount in USD; None where it is not known."""
    kept: RecordStory | None
    """Says why it was kept back; None where it was not."""


async def results(config: LoomConfig, run_id: str, limit: int) -> Results:
    """Return at most `limit` records of a run that has ended, those that passed first. Raises `NotFound`, and
    `ConfigurationError` for a run that has not ended."""
    settings = settings_of(config)
    found: list[ResultLine] = []
    async with opened_state(settings) as engine, opened_platform(settings) as platform:
        run = await ended_run(engine, config, run_id)
        plan = await platform.plans.get(run.plan)
        async with opened_source(engine, platform, run, plan) as source:
            if plan.replay is None:  # a replay has read the records of another run
                async with aclosing(source.read()) as outputs:
                    async for part in outputs:
                        found += _lines(part)
                        if len(found) >= limit:
                            break
            trouble = source.trouble
        if len(found) < limit:
            kept = await queries.whole(engine, RecordFilter(run_id=run_id), limit - len(found))
            found += [_kept(each) for each in kept]
    return Results(run.run_id, run.pipeline_name, found[:limit], run.records_processed, trouble)


def _lines(part: Outputs) -> list[ResultLine]:
    made = [ResultLine(each.id, LOADED, part.before[each.id].scores, each.result, None) for each in part.records]
    return made + [ResultLine(name, LOADED, {}, None, f"gone: {reason}") for name, reason in part.gone.items()]


def _kept(record: WholeRecord) -> ResultLine:
    scores = {name: score for name, score in (record.evaluation_scores or {}).items() if score is not None}
    return ResultLine(record.record_id, record.outcome, scores, record.output, record.failure_reason)


async def record(config: LoomConfig, run_id: str, record_id: str) -> RecordResult:
    """Return all that is known of a record of a run that has ended. Raises `NotFound`, and `ConfigurationError` for a
    run that has not ended."""
    settings = settings_of(config)
    gone, given = None, dict[str, Any]()
    async with opened_state(settings) as engine, opened_platform(settings) as platform:
        run = await ended_run(engine, config, run_id)
        kept = await kept_record.story(engine, config, record_id, run_id)
        if kept is not None:
            given, output, outcome = dict(kept.row.record_data), kept.row.output, kept.row.outcome
            prompt, scores, calls, answered_by = kept.prompt, kept.scores, kept.calls, kept.answered_by
        else:
            found, output, gone = await _from_source(engine, platform, run, record_id)
            given = dict(found)
            outcome = LOADED
            prompt = await kept_record.question(config, run, given)
            calls = await kept_record.calls(config, run_id, record_id)
            async with engine.connect() as connection:
                scores = await records.scores(connection, run_id, record_id)
                answered_by = await records.answered_by(connection, run_id, record_id)
    return RecordResult(
        run_id=run_id,
        pipeline=run.pipeline_name,
        record_id=record_id,
        outcome=outcome,
        input=given,
        prompt=prompt,
        output=output,
        gone=gone,
        answers=await kept_record.answers(config, run_id, record_id),
        answered_by=answered_by,
        scores=scores,
        calls=calls,
        cost=None if calls is None else sum(each.cost for each in calls),
        kept=kept,
    )


_Found = tuple[Mapping[str, Any], Mapping[str, Any] | None, str | None]
"""Holds input and output of a record, and why its output is gone."""


async def _from_source(engine: AsyncEngine, platform: Platform, run: Run, record_id: str) -> _Found:
    """Return a record that the run let through, from its source. Raises `NotFound`."""
    plan = await platform.plans.get(run.plan)
    if plan.replay is not None:
        origin = plan.replay.origin or plan.replay.run_id
        raise NotFound(
            f"Run {run.run_id} kept no record {record_id!r} back, and ran over records of {origin} again: see it there "
            f"with `loom show {origin} {record_id}`."
        )
    async with opened_source(engine, platform, run, plan) as source:
        found = await _first(source, record_id)
        trouble = source.trouble
    if found is not None:
        return found
    why = f"Its source cannot be read any more: {trouble}" if trouble else "Its source does not hold one of this id"
    raise NotFound(
        f"No record {record_id!r} is known of run {run.run_id}. {why.rstrip('.')}, and none was kept back. "
        f"`loom show {run.run_id}` lists records."
    )


async def _first(source: Source, record_id: str) -> _Found | None:
    async with aclosing(source.read(frozenset([record_id]))) as outputs:
        async for part in outputs:
            for each in part.records:
                if each.id == record_id:
                    return each.input, each.result, None
            if record_id in part.gone:
                return part.without_output[record_id], None, part.gone[record_id]
    return None
