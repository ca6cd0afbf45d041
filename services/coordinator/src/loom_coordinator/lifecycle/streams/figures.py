"""Adds up what each of two versions came to that share the records of a stream."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sqlalchemy import func, select

from loom_common.async_engine import AsyncConnection
from loom_coordinator.accounting import tallies
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.db.streams import Stream
from loom_coordinator.db.tables.outcomes import evaluation_results, record_evaluations
from loom_coordinator.db.tables.runs import pipeline_runs
from loom_coordinator.lifecycle.streams import canaries
from loom_coordinator.lifecycle.streams.canary_rule import Standing, Verdict, judged

_MOST_RUNS = 400
"""The most runs that are compared, so that a look takes no longer the longer a trial goes on."""


async def runs_of_trial(connection: AsyncConnection, stream: Stream, since: int) -> list[Run]:
    """Return the newest runs of a trial, which began with the window `since`, the newest first."""
    runs = pipeline_runs.c
    rows = await connection.execute(
        run_rows.RUNS.where(runs.stream == stream.stream_id, runs.stream_window >= since)
        .where(runs.replay_of.is_(None))
        .order_by(runs.stream_window.desc())
        .limit(_MOST_RUNS)
    )
    return [Run.of(row) for row in rows.mappings()]


async def verdict(connection: AsyncConnection, stream: Stream) -> Verdict | None:
    """Return what the rule of the version on trial says now; None where there is none. It looks at the windows that
    have ended with all that was read beside them: what is under way is neither kept back nor paid for yet."""
    canary = canaries.of_stream(stream)
    rule = None if canary is None else canaries.rule_of(canary)
    if canary is None or rule is None:
        return None
    found = await runs_of_trial(connection, stream, canary.since)
    going = {each.stream_window for each in found if each.completed_at is None}
    ended = [each for each in found if each.stream_window not in going and each.status != run_rows.CANCELLED]
    windows = len({each.stream_window for each in ended})
    stable, trial = ([each for each in ended if (each.canary_of is not None) == on_trial] for on_trial in (False, True))
    return judged(rule, await _standing(connection, stable), await _standing(connection, trial), windows)


async def _standing(connection: AsyncConnection, runs: Sequence[Run]) -> Standing:
    counts = [tallies.of_run(each) for each in runs]
    records = sum(each.extracted for each in counts)
    cost = math.fsum(each.cost_transform + each.cost_evaluate for each in counts)
    kept = sum(each.kept for each in counts)
    return Standing(
        records=records,
        kept_back=kept / records if records else None,
        score=await mean_score(connection, runs),
        cost_per_record=cost / records if records else None,
    )


async def mean_score(connection: AsyncConnection, runs: Sequence[Run]) -> float | None:
    """Return the mean of the scores of runs: of those that have ended by what was added up then."""
    ended = [each.run_id for each in runs if each.completed_at is not None]
    going = [each.run_id for each in runs if each.completed_at is None]
    summed, scored = evaluation_results.c, record_evaluations.c
    total, size = 0.0, 0
    for query in (
        select(func.sum(summed.mean_score * summed.sample_size), func.sum(summed.sample_size)).where(
            summed.run_id.in_(ended)
        ),
        select(func.sum(scored.score), func.count(scored.score)).where(scored.run_id.in_(going)),
    ):
        scores, number = (await connection.execute(query)).one()
        total, size = total + float(scores or 0.0), size + int(number or 0)
    return total / size if size else None
