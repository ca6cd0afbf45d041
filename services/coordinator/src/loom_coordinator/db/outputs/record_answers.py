"""Keeps which tier of a cascade, or which fallback, gave the output of a record.

A row is written only of a record for which there was a choice: what answered every other record is the run's model."""

from __future__ import annotations

from collections.abc import Sequence

from loom_common.contracts.v1 import BatchFact
from loom_coordinator.db.tables.outcomes import record_answers
from loom_coordinator.db.unit_of_work import UnitOfWork


async def keep(unit: UnitOfWork, facts: Sequence[BatchFact]) -> None:
    """Keep what facts tell of it. What is kept already is written again."""
    rows = {
        (fact.header.run_id, record_id): {
            "run_id": fact.header.run_id,
            "record_id": record_id,
            "tier": answered.tier,
            "answered_by": answered.answered_by,
        }
        for fact in facts
        for answered in fact.answered
        for record_id in answered.record_ids
    }
    await unit.upsert(record_answers, list(rows.values()))
