"""Estimates what a run would cost: a sample of its records goes through the real transform and the real evaluators,
with a model that counts instead of answering."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom.preflight.estimating.cascades import asking_always, with_shares
from loom.preflight.estimating.dry_run import dry_run
from loom.preflight.estimating.groups import added_up, steps_added_up
from loom.preflight.model_calls import batch_execution, budget_fit
from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom_ai.providers.dry_run_client import DryRunClient
from loom_common.contracts.v1 import (
    ExtractedRecord,
    KeptRecord,
    StageCalls,
    StepCount,
)
from loom_common.domain.checks.record_checks import carried_from_input
from loom_common.domain.model_options.params import resolved, typed
from loom_common.domain.run.calls import AMOUNTS
from loom_common.domain.run.plan import Plan
from loom_common.domain.values import durations
from loom_common.domain.values.plural import counted
from loom_common.errors import ConfigurationError
from loom_common.flow import Stage
from loom_connectors import registry
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import Source
from loom_extractor.identity import identified

_WHOLE = (
    "seen",
    "passed",
    "filtered",
    "derived",
    "failed",
    "calls_made",
    "calls_from_cache",
    "tokens_in",
    "tokens_out",
)
"""Holds the counts of a step."""
_PAGE = 2_000
"""The number of records that are read at once where a source does not know how many it has."""


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Describes records of the sample that no model could be asked about, and why."""

    stage: Stage
    reason: str
    records: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimates a run that was not made."""

    pipeline: str
    records: int
    sampled: int
    calls: tuple[StageCalls, ...]
    """Holds the calls of the whole run, as the sample suggests."""
    budget: float | None
    learned: bool
    """Tells whether the length of answers is that of earlier runs."""
    unasked: tuple[Unpriced, ...] = ()
    """Says what the estimate leaves out, because it fails: as in a run, such records cost nothing in that stage."""
    batches: tuple[Mapping[str, Any], ...] = ()
    """Says which models are asked in batches: `stage`, `model`, `share_of_price` and `deadline`."""
    steps: tuple[StepCount, ...] = ()
    """Says what each step of the transform would see and cost, where there are several."""
    last_call: float = 0.0
    """An amount in USD that a budget must have left for the last call to be made, too."""

    @property
    def cost(self) -> float:
        """Return the cost in USD."""
        return sum(each.cost for each in self.calls)

    @property
    def enough(self) -> float:
        """Return the USD of a budget that lets the run through, if the estimate is right."""
        return self.cost + self.last_call

    def cost_of(self, stage: Stage) -> float:
        """Return the cost in USD."""
        return sum(each.cost for each in self.calls if each.stage == stage)

    @property
    def unpriced(self) -> list[str]:
        """Return models whose price nobody knows."""
        return sorted({each.model for each in self.calls if each.unpriced})

    def document(self) -> dict[str, Any]:
        """Return the document for `--format json`."""
        return {
            "pipeline": self.pipeline,
            "records": self.records,
            "sampled": self.sampled,
            "cost": {
                "total": self.cost,
                "transform": self.cost_of(Stage.TRANSFORM),
                "evaluate": self.cost_of(Stage.EVALUATE),
            },
            "cost_per_record": self.cost / self.records if self.records else 0.0,
            "calls": [each.model_dump() for each in self.calls],
            "steps": [each.model_dump(exclude={"seconds"}) for each in self.steps],
            "unknown_prices": self.unpriced,
            "batches": [dict(each) for each in self.batches],
            "not_estimated": [
                {"stage": each.stage.value, "reason": each.reason, "records": each.records} for each in self.unasked
            ],
            "budget": self.budget,
            "share_of_budget": None if self.budget is None else self.cost / self.budget,
            "budget_needed": self.enough,
            "fits_budget": None if self.budget is None else self.enough <= self.budget,
            "answers_as_in_earlier_runs": self.learned,
        }


async def estimate(
    loaded: LoadedPipeline,
    config: LoomConfig,
    sample: int,
    params: Mapping[str, Any] | None = None,
    answered: Mapping[tuple[str, str], float] | None = None,
) -> Estimate:
    """Estimate over the first `sample` records. Local transforms and evaluators run on them; no model is asked, nothing
    is written. Raises `ConfigurationError` where every record of the sample fails, and `SourceError` and its like."""
    values = resolved(loaded.pipeline.params, dict(params or {}))
    plan = Plan(pipeline=loaded.pipeline, files=loaded.files, base=config.base_of(loaded.folder), params=values)
    context = ConnectorContext(
        folder=loaded.folder,
        allowed=config.allowed,
        credentials=config.secrets,
        params=typed(loaded.pipeline.params, values),
        call_seconds=durations.seconds(loaded.pipeline.timeouts.extract),
    )
    source = registry.open_source(loaded.pipeline.extract, context)
    try:
        records, total = await _read(source, plan, sample)
    finally:
        await source.close()
    client = DryRunClient(answered)
    factor = total / len(records) if records else 0.0
    phases = await dry_run(asking_always(plan), config, records, client, factor, context)
    kept = [each for phase in phases for each in phase.kept]
    calls = [_scaled(each, phase.factor) for phase in phases for each in with_shares(phase.calls, plan)]
    steps = [_step_scaled(each, phase.factor) for phase in phases for each in phase.steps]
    unasked = _unasked(kept)
    if records and sum(each.records for each in unasked if each.stage is Stage.TRANSFORM) >= len(records):
        reasons = "; ".join(f"{each.records} x {each.reason}" for each in unasked)
        tried = counted(len(records), "record")
        raise ConfigurationError(
            f"Nothing can be estimated: the transform fails for each of the first {tried}. {reasons}"
        )
    return Estimate(
        pipeline=loaded.pipeline.name,
        records=total,
        sampled=len(records),
        calls=added_up(calls),
        budget=loaded.pipeline.monitoring.cost_budget,
        learned=bool(answered),
        unasked=unasked,
        steps=steps_added_up(steps),
        batches=tuple(batch_execution.told(loaded.pipeline)),
        last_call=budget_fit.of_last_call(client.asked, loaded.pipeline),
    )


async def _read(source: Source, plan: Plan, sample: int) -> tuple[list[ExtractedRecord], int]:
    """The first good records, and how many there are in all: those that cannot be read cost nothing, and are not
    counted where the source has to be read to be counted."""
    keys = plan.pipeline.extract.keys
    first = await source.read(None, sample)
    whole = [identified(record, keys, carried_from_input(plan.pipeline)) for record in first.records]
    records = [ExtractedRecord(id=each.id, input=each.input) for each in whole if each.error is None]
    if (known := await source.count()) is not None:
        return records, known
    total, page = len(first.records), first
    while not page.end:
        page = await source.read(page.cursor, _PAGE)
        total += len(page.records)
    return records, total


def _unasked(kept: Sequence[tuple[Stage, KeptRecord]]) -> tuple[Unpriced, ...]:
    """Return what could not be asked about, by stage and reason, the most frequent first. What a gate rejects was asked
    about."""
    reasons = Counter((stage, record.reason) for stage, record in kept if record.outcome != "rejected")
    return tuple(Unpriced(stage, reason, number) for (stage, reason), number in reasons.most_common())


def _scaled(calls: StageCalls, factor: float) -> StageCalls:
    """As many calls as `factor` times the sample makes."""
    amounts = {
        name: getattr(calls, name) * factor if name in ("cost", "seconds") else round(getattr(calls, name) * factor)
        for name in AMOUNTS
    }
    return calls.model_copy(update=amounts)


def _step_scaled(step: StepCount, factor: float) -> StepCount:
    """As many records and calls as `factor` times the sample has."""
    whole = {name: round(getattr(step, name) * factor) for name in _WHOLE}
    return step.model_copy(update={**whole, "cost": step.cost * factor, "seconds": step.seconds * factor})
