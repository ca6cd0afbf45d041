"""Queries what run state knows of single records: how they were scored, what was paid for them, and what was kept
back."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, bindparam, case, func, select
from sqlalchemy.exc import DBAPIError

from loom_ai.journal.tables import journal
from loom_ai.ports import NOTED
from loom_common.async_engine import AsyncConnection, AsyncEngine
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.db.tables.outcomes import evaluation_results, quarantined, record_answers, record_evaluations
from loom_coordinator.queries import runs


@dataclass(frozen=True, slots=True)
class Score(Shown):
    """Says what one evaluator said of a record."""

    evaluator_name: str
    score: float | None
    """A number from 0 to 1; None where it gave none."""
    threshold: float | None
    """None where there is nothing to miss, and for a run that has not ended."""
    passed: bool | None
    confidence: float | None
    explanation: str | None
    interactions: Sequence[dict[str, Any]] | None
    """Each question to a model with its answer, as the evaluator recorded it."""
    tier: str | None
    """Names the tier of a cascade whose score it is, `cheap` or `dear`."""
    answered_by: str | None
    """Names that tier's model, or its type of evaluator."""


@dataclass(frozen=True, slots=True)
class CallsForRecord(Shown):
    """Describes the model calls that a run paid for one record, of one purpose and model."""

    purpose: str
    model: str
    calls: int
    tokens_in: int
    tokens_out: int
    cost: float
    """Holds the cost in USD."""


@dataclass(frozen=True, slots=True)
class KeptCount(Shown):
    """Counts records that were kept back at one stage for one cause."""

    pipeline_name: str
    failure_stage: str
    code: str
    outcome: str
    """`quarantined`, `rejected` or `skipped`."""
    records: int
    unresolved: int
    newest: dt.datetime
    """Says when the last of them was kept back."""


@dataclass(frozen=True, slots=True)
class KeptRecord(Shown):
    """Describes a record that was kept back, on a line."""

    quarantined_at: dt.datetime
    failure_stage: str
    code: str
    outcome: str
    record_id: str
    failure_reason: str


_KEPT = ("quarantined_at", "failure_stage", "code", "outcome", "record_id", "failure_reason")
_LAST_KEPT = (
    select(*(quarantined.c[name] for name in _KEPT))
    .where(quarantined.c.run_id == bindparam("run_id"))
    .order_by(quarantined.c.quarantined_at.desc())
    .limit(bindparam("most"))
)


_SAID, _SUMMED = record_evaluations.c, evaluation_results.c
_SCORES = (
    select(
        _SAID.record_id,
        _SAID.evaluator_name,
        _SAID.score,
        _SUMMED.threshold,
        _SAID.passed,
        _SAID.confidence,
        _SAID.explanation,
        _SAID.interactions,
        _SAID.tier,
        _SAID.answered_by,
    )
    .select_from(
        record_evaluations.outerjoin(
            evaluation_results,
            (_SUMMED.run_id == _SAID.run_id) & (_SUMMED.evaluator_name == _SAID.evaluator_name),
        )
    )
    .order_by(_SAID.record_id, _SAID.evaluator_name)
)


@dataclass(frozen=True, slots=True)
class AnsweredBy(Shown):
    """Says what gave the output of a record, where there was a choice."""

    tier: str | None
    """Names the tier of a cascade that was asked last, `cheap` or `dear`; None for a fallback without a cascade."""
    name: str
    """Is the model, scorer or function; or the fallback in the place of the model."""


async def answered_by(connection: AsyncConnection, run_id: str, record_id: str) -> AnsweredBy | None:
    """Return what gave the record's output; None where the run had one model alone, or none."""
    kept = record_answers.c
    query = select(kept.tier, kept.answered_by).where(kept.run_id == run_id, kept.record_id == record_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else AnsweredBy(row.tier, row.answered_by)


async def scores(connection: AsyncConnection, run_id: str, record_id: str) -> list[Score]:
    """Return what the run's evaluators said of a record, by their names."""
    said = record_evaluations.c
    query = _SCORES.where(said.run_id == run_id, said.record_id == record_id)
    return [
        Score(**{name: value for name, value in row.items() if name != "record_id"})
        for row in (await connection.execute(query)).mappings()
    ]


@dataclass(frozen=True, slots=True)
class ScoredRecord(Shown):
    """Holds what a run's evaluators said of a record."""

    record_id: str
    scores: Sequence[Score]
    """Are in the order of the evaluators' names."""


async def scored(connection: AsyncConnection, run_id: str, limit: int, after: str | None = None) -> list[ScoredRecord]:
    """Return records of a run that were evaluated, at most `limit`, in the order of their ids. `after` is the id of the
    last record of the page before, which is continued. Raises `NotFound` where there is no such run."""
    await runs.find(connection, run_id)
    said = record_evaluations.c
    statement = select(said.record_id).where(
        said.run_id == run_id, *([] if after is None else [said.record_id > after])
    )
    names = (await connection.execute(statement.distinct().order_by(said.record_id).limit(limit))).scalars().all()
    found: dict[str, list[Score]] = {name: [] for name in names}
    if names:
        query = _SCORES.where(said.run_id == run_id, said.record_id >= names[0], said.record_id <= names[-1])
        for row in (await connection.execute(query)).mappings():
            values = dict(row)
            found[values.pop("record_id")].append(Score(**values))
    return [ScoredRecord(name, said_of) for name, said_of in found.items()]


async def calls(journal_engine: AsyncEngine, run_id: str, record_id: str) -> list[CallsForRecord] | None:
    """Return the model calls that the run paid for the record, by purpose and model; None where the journal cannot be
    read."""
    kind = (journal.c.purpose, journal.c.model)
    sums = [func.sum(journal.c[name]).label(name) for name in ("tokens_in", "tokens_out", "cost")]
    query = (
        select(*kind, func.count().label("calls"), *sums)
        .where(journal.c.run_id == run_id, journal.c.record_id == record_id, journal.c.purpose != NOTED)
        .group_by(*kind)
        .order_by(*kind)
    )
    try:
        async with journal_engine.connect() as connection:
            return [CallsForRecord(**row) for row in (await connection.execute(query)).mappings()]
    except (DBAPIError, OSError):
        return None


_EMBED = "embed"
"""The purpose of calls whose answers are vectors."""


@dataclass(frozen=True, slots=True)
class Answer(Shown):
    """Holds what a model answered for one record, as the journal keeps it."""

    purpose: str
    provider: str
    model: str
    text: str
    finish_reason: str | None
    """Says why the model ended its answer, in the provider's words."""
    tokens_in: int
    tokens_out: int
    cost: float
    """Holds the cost in USD."""
    latency_seconds: float
    created_at: dt.datetime


async def answers(journal_engine: AsyncEngine, run_id: str, record_id: str) -> list[Answer] | None:
    """Return the answers that the run paid for the record, in the order in which they came; None where the journal
    cannot be read."""
    columns = journal.c
    names = ("purpose", "provider", "model", "body", "tokens_in", "tokens_out", "cost", "latency_seconds", "created_at")
    query = (
        select(*(columns[name] for name in names))
        .where(columns.run_id == run_id, columns.record_id == record_id, columns.purpose != NOTED)
        .order_by(columns.created_at)
    )
    try:
        async with journal_engine.connect() as connection:
            return [_answer(dict(row)) for row in (await connection.execute(query)).mappings()]
    except (DBAPIError, OSError):
        return None


def _answer(row: dict[str, Any]) -> Answer:
    body = json.loads(row.pop("body"))
    text = body["text"] if row["purpose"] != _EMBED else "(vectors)"  # half a megabyte that nobody reads
    return Answer(text=text, finish_reason=body.get("finish_reason"), **row)


async def kept_counts(connection: AsyncConnection, pipeline: str | None, run_id: str | None) -> list[KeptCount]:
    """Return what was kept back, counted by pipeline, stage, code and outcome; the largest count first. Raises
    `ConfigurationError` where a run is named that there is not."""
    if run_id is not None:
        await runs.find(connection, run_id)
    keys = (quarantined.c.pipeline_name, quarantined.c.failure_stage, quarantined.c.code, quarantined.c.outcome)
    records = func.count().label("records")
    unresolved = func.sum(case((quarantined.c.resolved.is_(True), 0), else_=1)).label("unresolved")
    newest = func.max(quarantined.c.quarantined_at).label("newest")
    chosen: list[ColumnElement[bool]] = []
    if pipeline is not None:
        chosen.append(quarantined.c.pipeline_name == pipeline)
    if run_id is not None:
        chosen.append(quarantined.c.run_id == run_id)
    statement = select(*keys, records, unresolved, newest).where(*chosen).group_by(*keys)
    rows = await connection.execute(statement.order_by(records.desc(), *keys))
    return [KeptCount(**row) for row in rows.mappings()]


async def last_kept(connection: AsyncConnection, run_id: str, limit: int = 5) -> list[KeptRecord]:
    """Return the records that the run kept back last, the newest first."""
    rows = await connection.execute(_LAST_KEPT, {"run_id": run_id, "most": limit})
    return [KeptRecord(**row) for row in rows.mappings()]
