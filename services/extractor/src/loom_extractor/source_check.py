"""Looks at the source of a run before its first slice, compares the fields that its plan names with those there are,
and splits it where nothing is in the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from loom_common.caching.plan_cache import PlanCache
from loom_common.config.credentials import Credentials
from loom_common.contracts.v1 import CheckSource, PreflightCheck, PreflightColumn, SourceChecked, SplitSource
from loom_common.domain.checks.check import Check
from loom_common.domain.checks.plan_fields import columns_of, compared_in_plan
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.plan import Plan
from loom_common.domain.values import durations
from loom_common.domain.values.stored_records import name_in
from loom_common.domain.values.urls import redacted
from loom_common.errors import LoomError, PluginFailed, TransientError
from loom_common.resilience.breakers import Breakers
from loom_common.user_code.time_limits import within
from loom_common.worker.context import Context
from loom_common.worker.slices import CheckedSource
from loom_connectors.ports import readiness
from loom_connectors.ports.source import Source

Look = Callable[[Plan], Awaitable[Sequence[Check]]]
OpenPlanned = Callable[[Plan], Awaitable[Source]]
Split = Callable[[SplitSource, Context], Awaitable[Sequence[Piece]]]


class SourceCheck:
    """Checks sources. Each check opens a source of its own, because what one found may have changed by the time that
    slices are read."""

    def __init__(
        self,
        plans: PlanCache,
        open_source: OpenPlanned,
        breakers: Breakers,
        credentials: Credentials,
        split: Split,
        look: Look,
    ) -> None:
        """`split` is what splits sources for those who ask for nothing else. `look` checks what the steps of a plan
        look records up in."""
        self._look = look
        self._split = split
        self._plans = plans
        self._open_source = open_source
        self._breakers = breakers
        self._credentials = credentials

    async def __call__(self, request: CheckSource, context: Context) -> CheckedSource:
        """Check the source of a plan. Raises `TransientError` where it is away, and `PluginFailed` as its code does:
        the question is asked again. What else is wrong is in the answer."""
        plan = await self._plans.get(request.plan)
        extract = plan.pipeline.extract
        seconds = durations.seconds(plan.pipeline.timeouts.extract)

        async def opened() -> Source:
            await self._credentials.fetch(extract.source)
            return await self._open_source(plan)

        if name_in(extract.source) is not None:
            checks = readiness.of_given_records(lambda fields: compared_in_plan(plan, fields))
        else:
            async with (
                within(seconds, "Checking the source", "timeouts.extract"),
                self._breakers.guarding(f"source {redacted(extract.source)}"),
            ):
                checks = await readiness.of_source(
                    opened, extract, lambda fields: compared_in_plan(plan, fields), str, counted=False
                )
                for check in checks:
                    if isinstance(check.error, TransientError | PluginFailed):
                        raise check.error
        looked = await self._look(plan)
        for check in looked:
            if isinstance(check.error, TransientError):
                raise check.error
        checks = [*checks, *looked]
        fields = next((check.fields for check in checks if check.fields is not None), None)
        found = await self._pieces(request, checks, context)
        checks, pieces = ([*checks, found], None) if isinstance(found, Check) else (checks, found)
        fact = SourceChecked(
            run_id=request.run_id,
            pipeline=request.pipeline,
            epoch=request.epoch,
            checks=tuple(map(PreflightCheck.of, checks)),
            columns=tuple(map(PreflightColumn.of, columns_of(plan, fields))),
            same_fields=fields is not None and fields.certain,
        )
        return CheckedSource(fact, pieces)

    async def _pieces(
        self, request: CheckSource, checks: Sequence[Check], context: Context
    ) -> Sequence[Piece] | Check | None:
        """Split the source where that is asked for and nothing was found that stands in the way. Where it cannot be
        split, that is one more check. Raises as the check does."""
        if not request.split or any(not check.ok and not check.doubtful for check in checks):
            return None
        about = {"run_id": request.run_id, "pipeline": request.pipeline, "plan": request.plan, "epoch": request.epoch}
        try:
            return await self._split(SplitSource(**about, parts=request.parts), context)
        except LoomError as error:
            if isinstance(error, TransientError | PluginFailed):
                raise
            return readiness.not_ready("source", error, str)
