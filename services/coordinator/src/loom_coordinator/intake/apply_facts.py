"""Applies the facts that the stages tell, many of them in one transaction.

Facts are taken in groups, because a commit costs more than what it commits. Everything a group says of its runs
is decided under those runs' row locks, so that two last batches cannot each miss the other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import (
    BatchFact,
    BudgetSpent,
    CallsPaid,
    DestinationChecked,
    LoadFinalized,
    RecordsKept,
    SliceExtracted,
    SourceChecked,
    SourceSplit,
    StageDelayed,
    StageFailed,
)
from loom_common.domain.run import waiting_text
from loom_common.domain.values.ids import window_beside
from loom_common.domain.values.sampling import SHOWN_ROWS
from loom_common.flow import Stage
from loom_coordinator.accounting import batches, failure_limits, incremental, observe, quality, schemas, steps, usage
from loom_coordinator.accounting.failure_limits import Count
from loom_coordinator.db import run_rows
from loom_coordinator.db.outputs import record_answers, record_outputs
from loom_coordinator.db.run import Run
from loom_coordinator.db.tables.outcomes import record_evaluations
from loom_coordinator.db.unit_of_work import UnitOfWork
from loom_coordinator.flow_control.windows import Awaited
from loom_coordinator.lifecycle import budget_pause, completion, partitions, preflight, slices, stream_windows

ACCEPTED: tuple[type[Message], ...] = (
    SourceChecked,
    DestinationChecked,
    SourceSplit,
    SliceExtracted,
    BatchFact,
    CallsPaid,
    BudgetSpent,
    RecordsKept,
    LoadFinalized,
    StageDelayed,
    StageFailed,
)


async def take(unit: UnitOfWork, messages: Sequence[Message]) -> dict[str, Awaited | None]:
    """Apply a group of facts. Those that were taken before change nothing, and neither do those that a later one of the
    same batch has overtaken. Return, by run, what has to come before anything more follows; None where that is not
    known."""
    named = {message.correlation_id for message in messages}
    # What has ended beside a window of a stream makes room for its next slice.
    known = await run_rows.lock(unit, named | {window for each in named if (window := window_beside(each)) is not None})
    new = [message for message in messages if message.correlation_id in known]
    saying = saying_more(new)
    applied = await batches.apply(unit, known, [fact for fact in new if isinstance(fact, batches.Fact)])
    observe.progress(unit, known, applied)
    known |= {run_id: replace(known[run_id], totals=totals) for run_id, totals in applied.totals.items()}
    await usage.book(unit, applied.paid)
    await quality.keep(unit, known, saying)
    await steps.keep(unit, saying)
    await schemas.keep(unit, saying)
    await incremental.keep(unit, known, saying)
    of_batches = [fact for fact in saying if isinstance(fact, BatchFact)]
    await _keep_evaluations(unit, [fact for fact in of_batches if fact.evaluations])
    await record_answers.keep(unit, [fact for fact in of_batches if fact.answered])
    await record_outputs.keep(unit, [fact for fact in of_batches if fact.outputs])
    looked_at: set[str] = set()
    for fact in saying:
        if isinstance(fact, SliceExtracted) and _of_a_stream(known[fact.run_id], fact):
            beside = await stream_windows.answered(unit, known[fact.run_id], fact)
            if beside is not None:
                known.setdefault(beside.run_id, beside)
        elif isinstance(fact, SliceExtracted):
            await slices.answered(unit, fact)
        elif isinstance(fact, SourceSplit):
            await partitions.answered(unit, known[fact.run_id], fact)
        elif isinstance(fact, SourceChecked | DestinationChecked):
            answered = await preflight.answered(unit, known[fact.run_id], fact)
            if answered is not None:
                known[fact.run_id] = answered
                looked_at.add(fact.run_id)
    await _keep_rows(unit, known, [fact for fact in of_batches if fact.rows])
    awaited = {}
    for run_id, run in known.items():
        mine = [fact for fact in new if fact.correlation_id == run_id]
        told = await _told_of_waits(unit, run, mine)
        counted = applied.counted.get(run_id, {})
        awaited[run_id] = await _go_on(unit, told, mine, counted, checked=run_id in looked_at)
    return awaited


def saying_more(facts: Sequence[Message]) -> list[Message]:
    """Return the facts without those that only bring the counts and times of a batch up to date. In a run whose records
    are only moved these are nearly all, and nobody else has to look at each of them."""
    return [fact for fact in facts if not (isinstance(fact, BatchFact) and fact.counts_only)]


def _of_a_stream(run: Run, fact: SliceExtracted) -> bool:
    """Tell whether a slice was read of the source of a stream, and not of what the steps of a window have grouped."""
    return run.stream is not None and fact.partition == 0


async def _go_on(
    unit: UnitOfWork, run: Run, facts: Sequence[Message], counted: Mapping[Stage, Count], *, checked: bool
) -> Awaited | None:
    """Let a run take its next step: fail, finish, or ask for more. `checked` tells whether its source or its
    destination was looked at just now. Return what has to come before the step after it; None where that is not
    known."""
    if run.status in run_rows.TERMINAL:
        if facts:
            await completion.correct(unit, run, facts)
        return None
    moved = any(isinstance(fact, BatchFact | SliceExtracted | SourceSplit) for fact in facts)
    facts = saying_more(facts)
    failure = next((fact for fact in facts if isinstance(fact, StageFailed) and fact.epoch == run.epoch), None)
    if failure is not None:
        end = completion.lose if failure.rows_lost else completion.fail
        await end(unit, run, f"{failure.stage}: {failure.reason}")
        return None
    if run.status != run_rows.RUNNING:
        return None
    if checked and (standing := await preflight.settle(unit, run)) is not None:
        await completion.fail(unit, run, standing)
        return None
    spent = next((fact for fact in facts if isinstance(fact, BudgetSpent) and fact.epoch == run.epoch), None)
    if spent is not None:
        await budget_pause.pause(unit, run, spent)
        return None
    if (moved or checked) and (limit := await failure_limits.passed(unit, run, counted)) is not None:
        await completion.stop(unit, run, limit)
        return None
    finalized = [fact for fact in facts if isinstance(fact, LoadFinalized) and fact.epoch == run.epoch]
    if finalized:
        await completion.succeed(unit, run, finalized[-1])
        return None
    if (missed := await _missed(unit, run, facts)) is not None:
        await completion.fail(unit, run, missed)
        return None
    return await advance(unit, run)


async def _missed(unit: UnitOfWork, run: Run, facts: Sequence[Message]) -> str | None:
    """Return why the run fails by a quality check, once the last of its slices is read."""
    if not quality.has_checks(run) or not any(isinstance(fact, SliceExtracted) and fact.end for fact in facts):
        return None
    return await quality.broken(unit, run, Stage.EXTRACT) if await slices.exhausted(unit, run.run_id) else None


async def advance(unit: UnitOfWork, run: Run) -> Awaited | None:
    """Ask for the next slice, or, where all has ended, for the load to be finalized. Safe to call at any time. Return
    what has to come before there is more to do; None where that is not known."""
    if run.canary_of is not None:
        extraction = await stream_windows.release_beside(unit, run)
    else:
        beside = None if run.stream is None else stream_windows.underway_beside
        extraction = await slices.release(unit, run, beside=beside)
    if not extraction.ended:
        return extraction.awaited
    await completion.finalize_if_ended(unit, run)
    return Awaited(run.totals.underway) if run.totals.underway else None


async def _keep_evaluations(unit: UnitOfWork, facts: Sequence[BatchFact]) -> None:
    rows = {
        (fact.header.run_id, evaluation.record_id, evaluation.name): {
            "run_id": fact.header.run_id,
            "record_id": evaluation.record_id,
            "evaluator_name": evaluation.name,
            "score": evaluation.score,
            "passed": evaluation.passed,
            "explanation": evaluation.explanation,
            "evaluated_at": unit.now,
            "latency_ms": evaluation.seconds * 1000,
            "confidence": evaluation.confidence,
            "interactions": [asked.model_dump() for asked in evaluation.interactions] or None,
            "tier": evaluation.tier,
            "answered_by": evaluation.answered_by,
        }
        for fact in facts
        for evaluation in fact.evaluations
    }
    await unit.upsert(record_evaluations, list(rows.values()))


async def _keep_rows(unit: UnitOfWork, known: Mapping[str, Run], facts: Sequence[BatchFact]) -> None:
    """Keep the first rows that a sample loaded, by the place of their batch: as many batches as a report needs at
    most."""
    found: dict[str, dict[str, Sequence[dict[str, Any]]]] = {}
    for fact in facts:
        header = fact.header
        kept = found.setdefault(header.run_id, dict(known[header.run_id].sampled or {}))
        kept[f"{header.partition}-{header.slice}-{header.position}"] = list(fact.rows)
    for run_id, rows in found.items():
        first = sorted(rows, key=lambda place: tuple(map(int, place.split("-"))))[:SHOWN_ROWS]
        await run_rows.change(unit, run_id, sampled={place: rows[place] for place in first})


async def _told_of_waits(unit: UnitOfWork, run: Run, facts: Sequence[Message]) -> Run:
    """Write into the run's notice what it waits for, as the facts tell, and return the run with that notice."""
    if run.status != run_rows.RUNNING:
        return run
    notice = run.notice
    moved = {moved for fact in facts if (moved := _moved(fact)) is not None}
    if notice is not None and moved and not waiting_text.still_true(notice, moved, unit.now):
        notice = None
    for fact in saying_more(facts):
        if isinstance(fact, StageDelayed):
            notice = waiting_text.to_tell(notice, _waiting(fact, unit.now), unit.now)
    if notice == run.notice:
        return run
    await run_rows.change(unit, run.run_id, notice=notice)
    return replace(run, notice=notice)


def _moved(fact: Message) -> Stage | None:
    """Return the stage that has finished something, as the fact tells."""
    if isinstance(fact, BatchFact):
        return fact.stage
    if isinstance(fact, DestinationChecked):
        return Stage.LOAD
    return Stage.EXTRACT if isinstance(fact, SliceExtracted | SourceChecked | SourceSplit) else None


def _waiting(fact: StageDelayed, now: dt.datetime) -> str:
    if fact.upstream is not None:
        return waiting_text.away(fact.stage, fact.upstream, fact.delay, now, fact.reason)
    return waiting_text.delayed(fact.stage, fact.delay, now, fact.attempt, fact.reason)
