"""Reads what a run said of its records: which passed, which were kept back, and with which scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, select

from loom_common.async_engine import AsyncEngine
from loom_common.flow import Stage
from loom_coordinator.db.outputs.rescorings import ERROR, PASSED, REJECTED
from loom_coordinator.db.tables.outcomes import record_evaluations
from loom_coordinator.db.tables.work import partitions
from loom_coordinator.db.unit_of_work import one_of
from loom_quarantine.db.tables import quarantined_records
from loom_quarantine.resolution import RESCORED

_GATE = "gate"
_KEPT = (
    "id", "record_id", "record_data", "output", "failure_stage", "code", "resolved", "resolution_action",
    "evaluation_scores",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class KeptOutput:
    """Holds a record that was kept back with its output."""

    id: int
    record_id: str
    record_data: dict[str, Any]
    output: dict[str, Any] | None
    failure_stage: str
    code: str
    resolved: bool
    resolution_action: str | None
    evaluation_scores: dict[str, float] | None

    @property
    def loaded(self) -> bool:
        """Tell whether it was loaded after all, with this output."""
        return self.resolution_action == RESCORED

    @property
    def verdict(self) -> str:
        """Return what the gate said of it, or has come to say."""
        if self.loaded or self.failure_stage == Stage.LOAD:
            return PASSED
        return REJECTED if self.code == _GATE else ERROR

    @property
    def settled(self) -> bool:
        """Tell whether it was given up, or loaded by a replay that may have made another output."""
        return self.resolved and not self.loaded


async def kept_outputs(engine: AsyncEngine, run_id: str, after: int, limit: int) -> list[KeptOutput]:
    """Return the next records of a run that were kept back after their transform, in the order of their rows."""
    table = quarantined_records
    chosen = select(*(table.c[name] for name in _KEPT)).where(
        table.c.run_id == run_id, table.c.failure_stage.in_((Stage.EVALUATE, Stage.LOAD)), table.c.id > after
    )
    async with engine.connect() as connection:
        return [KeptOutput(*row) for row in await connection.execute(chosen.order_by(table.c.id).limit(limit))]


@dataclass(frozen=True, slots=True)
class Known:
    """Says what a run knows of some records."""

    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    """The scores of those that it evaluated, by record and evaluator."""
    kept: frozenset[str] = frozenset()
    """The ids of the records that the run kept back."""


async def known(engine: AsyncEngine, run_id: str, record_ids: Sequence[str]) -> Known:
    """Return what the run knows of these records."""
    said, table = record_evaluations.c, quarantined_records
    scores: dict[str, dict[str, float]] = {}
    names = {"names": list(record_ids)}
    async with engine.connect() as connection:
        dialect = connection.dialect.name
        here = one_of(dialect, said.record_id, bindparam("names"))
        query = select(said.record_id, said.evaluator_name, said.score).where(said.run_id == run_id, here)
        for record_id, name, score in await connection.execute(query, names):
            mine = scores.setdefault(record_id, {})
            if score is not None:
                mine[name] = score
        there = one_of(dialect, table.c.record_id, bindparam("names"))
        held = await connection.execute(select(table.c.record_id).where(table.c.run_id == run_id, there), names)
        return Known(scores, frozenset(held.scalars()))


async def pieces_of(engine: AsyncEngine, run_id: str) -> list[tuple[int, Any]]:
    """Return the pieces of the source that the run read, by partition; None for all of it."""
    query = select(partitions.c.partition, partitions.c.piece).where(partitions.c.run_id == run_id)
    async with engine.connect() as connection:
        return [(number, piece) for number, piece in await connection.execute(query.order_by(partitions.c.partition))]
