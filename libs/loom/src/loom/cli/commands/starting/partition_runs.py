"""Carries out the runs of a backfill: one for each value of a parameter."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loom.cli.commands import follow, state
from loom.cli.commands.starting.outcomes import GONE_WRONG, RunEnd, end_of, trouble_of
from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom.project.person import person
from loom.requests.lineage_parent import lineage_parent_of
from loom.requests.runs import prepare, refuse_unfinished
from loom_common.contracts.v1 import RunAccepted
from loom_common.errors import DependencyUnavailable, LoomError

if TYPE_CHECKING:
    from loom.cli.commands.follow import Outcome
    from loom.cli.options.common import Common
    from loom.project.config import LoomConfig
    from loom.project.definition_file import LoadedPipeline
    from loom.session import RunEngine
    from loom_coordinator.queries.runs import RunWithParams


@dataclass(frozen=True, slots=True)
class Partition:
    """Describes one value of the parameter, and the run that there is of it."""

    value: str
    earlier: RunWithParams | None
    """The run that has succeeded, or that has not ended; None where a run is to be begun."""
    key: str | None
    """The idempotency key of a run that is begun in a cluster: a request that a killed command left in the queue and
    the request of the next command start one run."""

    @property
    def has_succeeded(self) -> bool:
        return self.earlier is not None and self.earlier.status == "succeeded"

    @property
    def run_id(self) -> str | None:
        return None if self.earlier is None else self.earlier.run_id


async def found(
    config: LoomConfig, pipeline: str, wanted: Sequence[tuple[str, Mapping[str, Any]]], *, again: bool
) -> list[Partition]:
    """Return the partitions of the values with their parameters. `again`: pass over runs that have succeeded. Raises
    `ConfigurationError` where another run of the pipeline waits to be finished, beside which none begins."""
    async with state.opened(config) as views:
        runs = await views.with_params(pipeline)
        made = await views.incarnation() if config.distributed else None
    partitions = []
    for value, params in wanted:
        same = [run for run in runs if dict(run.params) == dict(params)]
        key = None if made is None else _key(made, pipeline, params, len(same))
        partitions.append(Partition(value, _newest(same, again=again), key))
    if not config.distributed:
        await refuse_unfinished(config, pipeline, {each.run_id for each in partitions if each.run_id is not None})
    return partitions


def _newest(same: Sequence[RunWithParams], *, again: bool) -> RunWithParams | None:
    """Return the run of these that has succeeded, else the newest one where that has not ended."""
    done = [run for run in same if not again and run.status == "succeeded"]
    goes_on = [run for run in same[:1] if run.status not in follow.EXIT_CODES]
    return next(iter([*done, *goes_on]), None)


def _key(made: str, pipeline: str, params: Mapping[str, Any], runs: int) -> str:
    """Return the same key for the same partition as long as no other run of it is known."""
    what = json.dumps([made, pipeline, params, runs], sort_keys=True, default=str)
    return f"backfill-{hashlib.sha256(what.encode()).hexdigest()[:32]}"


def before(each: Partition) -> RunEnd | None:
    """Return the end of a partition that has succeeded before; None of another."""
    return RunEnd(each.value, "succeeded", 0, each.run_id, why="before") if each.has_succeeded else None


@dataclass(frozen=True, slots=True)
class Backfill:
    """Carries out the runs of partitions, one after the other."""

    loaded: LoadedPipeline
    config: LoomConfig
    name: str
    """The parameter that has another value in each run."""
    params: Mapping[str, str]
    """The parameters that all runs have."""
    common: Common
    reuse: bool

    def carry_out(self, wanted: Sequence[Partition], budget: float | None) -> list[RunEnd]:
        """Return what became of each partition. Runs that have not ended are finished first, because a new run of a
        pipeline does not begin beside one that waits. No run begins after one was paused, or nobody answered, and when
        the budget in USD is spent."""
        ends: dict[str, RunEnd] = {}
        left, why = budget, None
        for each in sorted(wanted, key=lambda each: each.earlier is None):
            done = before(each)
            if done is None and left is not None and left <= 0:
                why = why or "the budget is spent"
            if done is None and why is not None:
                done = RunEnd(each.value, "not run", GONE_WRONG, each.run_id, why=why)
            if done is None:
                terminal.say(f"{self.name}={each.value}")
                done, cost, why = self._end(each, left)
                left = None if left is None else left - cost
            ends[each.value] = done
        return [ends[each.value] for each in wanted]

    def _end(self, each: Partition, left: float | None) -> tuple[RunEnd, float, str | None]:
        """Return what became of a partition, what that has cost, and why no other may run after it."""
        spent = 0.0 if each.earlier is None else each.earlier.cost_total
        try:
            outcome = follow.wait_for(self._carried_out(each, left, spent))
        except (LoomError, ExceptionGroup) as error:
            trouble = trouble_of(error)
            terminal.say(f"error: {self.name}={each.value}: {trouble}")
            end = RunEnd(each.value, "refused", GONE_WRONG, each.run_id, why=str(trouble))
            return end, 0.0, "nobody answered" if isinstance(trouble, DependencyUnavailable) else None
        end = end_of(each.value, outcome)
        stops = f"{end.run_id} is paused" if end.status == "paused" else None
        return end, max(0.0, (end.cost or 0.0) - spent), stops

    async def _carried_out(self, each: Partition, left: float | None, spent: float) -> Outcome:
        if each.earlier is None:
            begin = await self._beginning(each, left)
        else:
            run_id, most = each.earlier.run_id, self.loaded.pipeline.monitoring.cost_budget
            limit = None if left is None else min(spent + left, most or spent + left)

            async def begin(session: RunEngine) -> RunAccepted:
                return await self._gone_on(session, run_id, limit)

        return await follow.carry_out(
            self.config,
            begin,
            Format.TABLE,
            verbose=self.common.verbose,
            flags=self.common.flags,
            report=False,
        )

    async def _beginning(self, each: Partition, left: float | None) -> follow.Begin:
        params = {**self.params, self.name: each.value}
        prepared = await prepare(str(self.loaded.path), self.config, params, sample=False, wait=False, say=terminal.say)
        reuse = self.reuse and self.config.cache.enabled
        how = {
            "budget": left,
            "reuse": reuse,
            "requested_by": person(),
            "idempotency_key": each.key,
            "lineage_parent": lineage_parent_of(None),
        }
        request = prepared.request.model_copy(update=how)

        async def begin(session: RunEngine) -> RunAccepted:
            return await session.start(request)

        return begin

    async def _gone_on(self, session: RunEngine, run_id: str, limit: float | None) -> RunAccepted:
        """Go on with a run that had not ended when it was looked up. In a cluster it may be at work, or have ended
        since: then it is left to its work, unless it gets another budget."""
        run = await state.ask(self.config, lambda views: views.row(run_id))
        at_work = self.config.distributed and run is not None and run.status == "running" and limit is None
        if run is not None and (at_work or run.status in follow.EXIT_CODES):
            return RunAccepted(run_id=run_id, pipeline=run.pipeline_name, status=run.status, epoch=run.epoch)
        return await session.resume(run_id, limit)
