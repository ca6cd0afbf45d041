"""Keeps what the steps of a run's transform counted. The counts of a batch are rows of their own, so that a fact that
comes again changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from loom_common.async_engine import AsyncConnection
from loom_common.contracts import v1
from loom_common.contracts.envelope import Message
from loom_common.contracts.v1 import StepCount, StepSummary
from loom_common.domain.section import items, said
from loom_coordinator.db.tables.quality import step_counts
from loom_coordinator.db.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from loom_common.domain.steps.nodes import Node

_AMOUNTS = tuple(name for name in StepCount.model_fields if name != "name")


async def keep(unit: UnitOfWork, facts: Sequence[Message]) -> None:
    """Keep what facts say of the steps of their batches."""
    rows = {
        (fact.header.run_id, count.name, fact.header.batch_id): {
            "run_id": fact.header.run_id,
            "step": count.name,
            "part": fact.header.batch_id,
            **{name: getattr(count, name) for name in _AMOUNTS},
        }
        for fact in facts
        if isinstance(fact, v1.BatchFact)
        for count in fact.steps
    }
    # Rows are written in the same order everywhere, so that two coordinators cannot deadlock.
    await unit.upsert(step_counts, [rows[key] for key in sorted(rows)])


async def summaries(connection: AsyncConnection, run_id: str, definition: Mapping[str, Any]) -> tuple[StepSummary, ...]:
    """Return what the steps of a run have come to, as far as it has come, in their order; none where its transform has
    no steps."""
    steps = items(said(definition, "transform"), "steps")
    if not steps:
        return ()
    from loom_common.domain.steps.graph import graph_of  # few transforms have steps

    table = step_counts.c
    sums = await connection.execute(
        select(table.step, *(func.sum(table[name]).label(name) for name in _AMOUNTS))
        .where(table.run_id == run_id)
        .group_by(table.step)
    )
    counted: dict[str, Mapping[str, Any]] = {row["step"]: dict(row) for row in sums.mappings()}
    return tuple(_summary(node, steps[node.at], counted) for node in graph_of(steps).order)


def _summary(node: Node, step: Any, counted: Mapping[str, Mapping[str, Any]]) -> StepSummary:
    found = counted.get(node.name)
    amounts = {name: found[name] if found is not None else 0 for name in _AMOUNTS}
    branches = {each: counted.get(f"{node.name}.{each}", {}).get("seen", 0) for each in node.branches}
    by = next((value for key in ("model", "scorer", "function") if (value := said(step, key)) is not None), None)
    return StepSummary(name=node.name, kind=node.kind, made_by=by, branches=branches, **amounts)
