"""Makes plans and batches for tests of the stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loom_common.contracts.v1 import BatchExtracted, BatchHeader, ExtractedRecord
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.tally import Tally


def plan_of(transform: Mapping[str, Any], files: Mapping[str, str] | None = None, **changes: Any) -> Plan:
    """Return a plan whose pipeline has this transform."""
    pipeline = {
        "name": "reviews",
        "extract": {"source": "reviews.csv"},
        "transform": dict(transform),
        "load": {"destination": "out.csv"},
    }
    return Plan.model_validate({"pipeline": pipeline, "files": dict(files or {}), **changes})


def batch_of(plan: Plan, records: Sequence[Mapping[str, Any]], run_id: str = "run_1") -> BatchExtracted:
    """Return a batch of `plan` with records `r0`, `r1` ..."""
    header = BatchHeader(
        run_id=run_id,
        pipeline=plan.pipeline.name,
        plan=plan.hash,
        epoch=1,
        batch_id="b1",
        partition=0,
        slice=0,
        position=0,
        tally=Tally(extracted=len(records)),
    )
    return BatchExtracted(
        header=header,
        records=tuple(ExtractedRecord(id=f"r{n}", input=dict(data)) for n, data in enumerate(records)),
    )


class GivenPlans:
    """Holds plans by hash."""

    def __init__(self, *plans: Plan) -> None:
        self._plans = {plan.hash: plan for plan in plans}

    async def get(self, plan_hash: str) -> Plan:
        return self._plans[plan_hash]
