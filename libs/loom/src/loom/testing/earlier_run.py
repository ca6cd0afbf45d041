"""Gives the outputs of an earlier run of the project, which distributional tests compare with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from loom.project.config import LoomConfig
from loom.rescoring.evaluate import ended_run, opened_platform, opened_state, settings_of
from loom.rescoring.stages import opened_source
from loom_common.domain.values.plural import counted
from loom_common.errors import ConfigurationError
from loom_coordinator.db.run import Run

_RUN = re.compile(r"run_[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class EarlierOutputs:
    """Holds the outputs of a run that has ended."""

    passed: Sequence[Mapping[str, Any]]
    kept: Sequence[Mapping[str, Any]]
    """The outputs of records that were kept back."""

    def of(self, which: str) -> list[Mapping[str, Any]]:
        """Return those that a test compares: `all`, or those that `passed`."""
        return [*self.passed, *(self.kept if which == "all" else ())]


def names_run(baseline: str) -> bool:
    """Tell whether a baseline is the id of a run, and not a place where rows lie."""
    return _RUN.fullmatch(baseline) is not None


async def outputs_of(config: LoomConfig, run_id: str) -> EarlierOutputs:
    """Return the outputs of a run: what was kept back from quarantine, and the others by reading the source once more
    and asking the journal what the transform was answered. No model is asked for anything.

    Raises `NotFound`, and `ConfigurationError` where the run has not ended, or where not all of its outputs are to be
    had any more: a part of them may be distributed otherwise than the whole."""
    settings = settings_of(config)
    passed: list[Mapping[str, Any]] = []
    kept: list[Mapping[str, Any]] = []
    gone: dict[str, str] = {}
    async with opened_state(settings) as engine, opened_platform(settings) as platform:
        run = await ended_run(engine, config, run_id)
        plan = await platform.plans.get(run.plan)
        if plan.replay is not None:
            origin = plan.replay.origin or plan.replay.run_id
            raise ConfigurationError(
                f"Run {run_id} ran over records of {origin} again, and over no source: name {origin} as the baseline."
            )
        async with opened_source(engine, platform, run, plan) as source:
            async with aclosing(source.read()) as read:
                async for part in read:
                    passed += [each.result for each in part.records]
                    gone.update(part.gone)
            if source.trouble is not None:
                raise _gone(run, f"its source cannot be read any more: {source.trouble.rstrip('.')}")
            async for part in source.kept(settled=True):
                kept += [each.result for each in part.records]
    if gone:
        name, why = next(iter(gone.items()))
        raise _gone(run, f"those of {counted(len(gone), 'record')} are gone, e.g. of {name}: {why.rstrip('.')}")
    if len(passed) < (run.tally or run.totals.tally).loaded:
        raise _gone(run, f"its source holds {len(passed):,} of the {run.totals.tally.loaded:,} records that it loaded")
    return EarlierOutputs(passed, kept)


def _gone(run: Run, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The outputs of run {run.run_id} of {run.pipeline_name} are not all to be had: {why}. Name another run as the "
        "baseline, or store one with `loom test --update`."
    )
