"""Compares two runs, from their rows to their records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom.comparing.outputs import compare
from loom.project.config import LoomConfig
from loom.rescoring.evaluate import ended_run, opened_platform, opened_state, settings_of
from loom.rescoring.stages import opened_source
from loom_common.async_engine import AsyncEngine
from loom_common.domain.json_values.shown import Shown
from loom_common.errors import ConfigurationError
from loom_common.service.bootstrap import Platform
from loom_coordinator.db.run import Run
from loom_coordinator.queries.scores import paired
from loom_coordinator.queries.scores.paired import ChangedRecord, ScoreChange, VerdictChange


@dataclass(frozen=True, slots=True)
class RunLine(Shown):
    """Describes one of the two runs."""

    run_id: str
    pipeline: str
    version: str
    status: str
    model: str | None
    prompt_version: str | None
    extracted: int
    loaded: int
    cost: float
    """Holds what the run cost, in USD."""
    cost_by_stage: Mapping[str, float]
    latency_p50: float | None
    """The number of seconds in which a model answered, or code made an output; so are the next two."""
    latency_p95: float | None
    latency_p99: float | None
    duration_seconds: float | None


@dataclass(frozen=True, slots=True)
class Diff(Shown):
    """Holds what differs between two runs on the records that both have, which are told by their ids."""

    before: RunLine
    after: RunLine
    outputs: Mapping[str, Any]
    verdicts: VerdictChange | None
    """None where there is no record that both runs evaluated."""
    evaluators: Sequence[ScoreChange]
    changed: Sequence[ChangedRecord]
    """Records of which the gates say different things."""


async def diff(config: LoomConfig, before: str, after: str, *, limit: int = 50) -> Diff:
    """Compare two runs that have ended, and show at most `limit` records of each kind of difference. No model is asked
    for anything. Raises `NotFound`, and `ConfigurationError` for a run that has not ended, or is a replay."""
    settings = settings_of(config)
    async with opened_state(settings) as engine, opened_platform(settings) as platform:
        runs = [await ended_run(engine, config, each) for each in (before, after)]
        outputs = await _outputs(engine, platform, runs, limit)
        async with engine.connect() as connection:
            return Diff(
                before=_line(runs[0]),
                after=_line(runs[1]),
                outputs=outputs,
                verdicts=await paired.verdicts(connection, before, after),
                evaluators=await paired.scores(connection, before, after),
                changed=await paired.changed(connection, before, after, limit),
            )


async def _outputs(engine: AsyncEngine, platform: Platform, runs: Sequence[Run], limit: int) -> dict[str, Any]:
    plans = [await platform.plans.get(run.plan) for run in runs]
    for run, plan in zip(runs, plans, strict=True):
        if plan.replay is not None:
            raise ConfigurationError(
                f"Run {run.run_id} ran over records of {plan.replay.run_id} again, and has no source of its own. "
                "Compare runs that read their source."
            )
    async with (
        opened_source(engine, platform, runs[0], plans[0]) as before,
        opened_source(engine, platform, runs[1], plans[1]) as after,
    ):
        change = await compare(before, after, limit)
        troubles = {"trouble_before": before.trouble, "trouble_after": after.trouble}
    return {**change.as_json(), **troubles}


def _line(run: Run) -> RunLine:
    tally = run.tally
    return RunLine(
        run_id=run.run_id,
        pipeline=run.pipeline_name,
        version=run.pipeline_version,
        status=run.status,
        model=run.model,
        prompt_version=run.prompt_version,
        extracted=0 if tally is None else tally.extracted,
        loaded=0 if tally is None else tally.loaded,
        cost=run.cost_total or 0.0,
        cost_by_stage=run.cost_breakdown or {},
        latency_p50=run.latency_p50,
        latency_p95=run.latency_p95,
        latency_p99=run.latency_p99,
        duration_seconds=run.duration_seconds,
    )
