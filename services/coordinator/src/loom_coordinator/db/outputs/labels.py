"""Stores the samples of records that people judge, and their verdicts: one of each person on a record of a run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, exists, func, literal, select, tuple_, update

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_coordinator.db.tables.labels import label_samples, labels, sampled_records
from loom_coordinator.db.tables.outcomes import record_evaluations
from loom_coordinator.db.unit_of_work import one_of
from loom_migrations.upserts import inserting

PASS, FAIL, SKIP = "pass", "fail", "skip"
BORDERLINE, RANDOM = "borderline", "random"


@dataclass(frozen=True, slots=True)
class LabelSample(Shown):
    """Describes how the records were drawn that people judge."""

    run_id: str
    subject: str
    """The evaluator to whose threshold the borderline records are near, or `gate`."""
    population: int
    """The number of scored records that they are drawn from."""
    borderline: int
    """The number of records that are nearest to the threshold, all of which are in the sample."""
    random: int
    """The number of draws from all scored records. Some of them may be borderline records."""
    drawn_at: dt.datetime
    drawn_by: str | None


@dataclass(frozen=True, slots=True)
class SampledRecord(Shown):
    """Describes a record of a sample."""

    record_id: str
    place: int
    """Holds the record's place in the order in which records are shown, from 1."""
    stratum: str
    """`borderline` or `random`."""
    nearness: int | None
    """Holds the record's place among all by the distance from the threshold; None where it is not borderline."""
    draw: int | None
    """Holds the record's place among the random draws; None where it was not drawn at random."""
    probability: float
    """The probability with which it came to be in the sample."""
    margin: float
    """The number by which its score is above the threshold."""
    gone: str | None
    """Says why its output is no longer to be had; None where it is there."""


@dataclass(frozen=True, slots=True)
class RecordContents(Shown):
    """Holds what a person judges."""

    record_data: Any
    """The input."""
    output: Any


@dataclass(frozen=True, slots=True)
class Label(Shown):
    """Holds what a person said of a record."""

    record_id: str
    person: str
    verdict: str
    """`pass`, `fail` or `skip`."""
    comment: str | None
    expected: str | None
    """The value that the person says is right."""
    stratum: str | None
    """`borderline` or `random`, as it was drawn; None where it was in no sample."""
    probability: float | None
    """The probability of being in that sample; None where it was in none."""
    via: str
    """`terminal`, `console`, `api` or `import`."""
    labelled_at: dt.datetime


_SAMPLED = tuple(sampled_records.c[each.name] for each in fields(SampledRecord))
_LABEL = tuple(labels.c[each.name] for each in fields(Label))


def _in(run_id: str, subject: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return sampled_records.c.run_id == run_id, sampled_records.c.subject == subject


async def sample(connection: AsyncConnection, run_id: str, subject: str) -> LabelSample | None:
    """Return how the sample of a subject was drawn; None where there is none."""
    return next((each for each in await samples(connection, run_id) if each.subject == subject), None)


async def samples(connection: AsyncConnection, run_id: str) -> list[LabelSample]:
    """Return the samples of a run, the newest first."""
    chosen = select(label_samples).where(label_samples.c.run_id == run_id)
    rows = await connection.execute(chosen.order_by(label_samples.c.drawn_at.desc(), label_samples.c.subject))
    return [LabelSample(**row) for row in rows.mappings()]


async def keep_sample(connection: AsyncConnection, made: LabelSample, records: Sequence[Mapping[str, Any]]) -> None:
    """Store a sample in the place of a smaller one of the same subject. Contents of records that are in both stay."""
    await _upsert(connection, label_samples, [made.as_json() | {"drawn_at": made.drawn_at}])
    rows = [{"run_id": made.run_id, "subject": made.subject, **row} for row in records]
    await _upsert(connection, sampled_records, rows)


async def keep_contents(
    connection: AsyncConnection, run_id: str, subject: str, record_id: str, values: Mapping[str, Any]
) -> None:
    """Store input and output of a sampled record, or why they are gone."""
    chosen = *_in(run_id, subject), sampled_records.c.record_id == record_id
    await connection.execute(update(sampled_records).where(*chosen).values(**values))


async def sampled(connection: AsyncConnection, run_id: str, subject: str) -> list[SampledRecord]:
    """Return the records of a sample, in the order in which they are shown."""
    chosen = select(*_SAMPLED).where(*_in(run_id, subject)).order_by(sampled_records.c.place)
    return [SampledRecord(*row) for row in await connection.execute(chosen)]


async def without_contents(connection: AsyncConnection, run_id: str, subject: str) -> list[str]:
    """Return the ids of the records of a sample whose contents were not looked for yet."""
    chosen = select(sampled_records.c.record_id).where(
        *_in(run_id, subject), sampled_records.c.gone.is_(None), sampled_records.c.record_data.is_(None)
    )
    return list((await connection.execute(chosen)).scalars())


async def contents(connection: AsyncConnection, run_id: str, record_id: str) -> RecordContents | None:
    """Return input and output of a record that is in a sample of the run; None where it is in none."""
    columns = sampled_records.c
    chosen = select(columns.record_data, columns.output).where(
        columns.run_id == run_id, columns.record_id == record_id, columns.record_data.is_not(None)
    )
    row = (await connection.execute(chosen.limit(1))).one_or_none()
    return None if row is None else RecordContents(*row)


async def of_run(connection: AsyncConnection, run_id: str, person: str | None = None) -> list[Label]:
    """Return the labels of a run, of one person or of all, in the order of records and persons."""
    chosen = select(*_LABEL).where(labels.c.run_id == run_id, *([] if person is None else [labels.c.person == person]))
    rows = await connection.execute(chosen.order_by(labels.c.record_id, labels.c.person))
    return [Label(*row) for row in rows]


async def page(connection: AsyncConnection, run_id: str, limit: int, after: tuple[str, str] | None) -> list[Label]:
    """Return labels of a run in the order of records and persons, at most `limit`; `after` is the record and the person
    of the last one of the page before."""
    rest = () if after is None else (tuple_(labels.c.record_id, labels.c.person) > tuple_(*map(literal, after)),)
    chosen = select(*_LABEL).where(labels.c.run_id == run_id, *rest)
    rows = await connection.execute(chosen.order_by(labels.c.record_id, labels.c.person).limit(limit))
    return [Label(*row) for row in rows]


async def keep(connection: AsyncConnection, run_id: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store labels in the place of those that the same persons gave the same records."""
    await _upsert(connection, labels, [{"run_id": run_id, **row} for row in rows])


async def last(connection: AsyncConnection, run_id: str, subject: str, person: str) -> Label | None:
    """Return the label that a person gave last to a record of the sample; None where there is none."""
    within = exists().where(*_in(run_id, subject), sampled_records.c.record_id == labels.c.record_id)
    chosen = select(*_LABEL).where(labels.c.run_id == run_id, labels.c.person == person, within)
    newest = chosen.order_by(labels.c.labelled_at.desc(), labels.c.record_id.desc()).limit(1)
    row = (await connection.execute(newest)).one_or_none()
    return None if row is None else Label(*row)


async def remove(connection: AsyncConnection, run_id: str, record_id: str, person: str) -> bool:
    """Remove a label, and tell whether there was one."""
    chosen = labels.c.run_id == run_id, labels.c.record_id == record_id, labels.c.person == person
    return (await connection.execute(delete(labels).where(*chosen))).rowcount > 0


async def scores_of(connection: AsyncConnection, run_id: str, record_ids: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the scores that the run gave these records, by record and evaluator. Records without a score are not in
    it."""
    said = record_evaluations.c
    here = one_of(connection.dialect.name, said.record_id, bindparam("names"))
    query = select(said.record_id, said.evaluator_name, said.score).where(
        said.run_id == run_id, said.score.is_not(None), here
    )
    found: dict[str, dict[str, float]] = {}
    for record_id, name, score in await connection.execute(query, {"names": list(record_ids)}):
        found.setdefault(record_id, {})[name] = score
    return found


async def scores_page(
    connection: AsyncConnection, run_id: str, after: str, rows: int
) -> tuple[dict[str, dict[str, float]], bool]:
    """Return the scores of the next records of a run, in the order of their ids, and whether there may be more. Of a
    record that is cut by the end of the page nothing is returned."""
    said = record_evaluations.c
    query = (
        select(said.record_id, said.evaluator_name, said.score)
        .where(said.run_id == run_id, said.record_id > after)
        .order_by(said.record_id, said.evaluator_name)
        .limit(rows)
    )
    found: dict[str, dict[str, float]] = {}
    number = 0
    for record_id, name, score in await connection.execute(query):
        number += 1
        mine = found.setdefault(record_id, {})
        if score is not None:
            mine[name] = score
    more = number == rows
    if more and len(found) > 1:
        found.popitem()
    return found, more


async def persons(connection: AsyncConnection, run_id: str) -> dict[str, int]:
    """Return how many records each person has judged, skipped ones left out, by the person's name."""
    counted = select(labels.c.person, func.count()).where(labels.c.run_id == run_id, labels.c.verdict != SKIP)
    rows = await connection.execute(counted.group_by(labels.c.person).order_by(labels.c.person))
    return {row[0]: row[1] for row in rows}


async def _upsert(connection: AsyncConnection, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    key = [column.name for column in table.primary_key]
    statement = inserting(connection.dialect.name, table)
    excluded = statement.excluded
    changed = {name: excluded[name] for name in rows[0] if name not in key}
    await connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), list(rows))
