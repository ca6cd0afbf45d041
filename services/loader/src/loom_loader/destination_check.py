"""Looks at the destinations of a run before its first slice, and compares their columns with those it writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from loom_common.caching.plan_cache import PlanCache
from loom_common.config.credentials import Credentials
from loom_common.contracts.v1 import CheckDestination, DestinationChecked, PreflightCheck, PreflightColumn
from loom_common.domain.checks.check import Check
from loom_common.domain.checks.columns import prompted_fields, with_fits
from loom_common.domain.checks.plan_fields import prompt_text
from loom_common.domain.run.plan import Plan
from loom_common.domain.values import durations
from loom_common.errors import LoomError, PluginFailed, TransientError
from loom_common.resilience.breakers import Breakers
from loom_common.user_code.time_limits import within
from loom_common.worker.context import Context
from loom_connectors.ports import readiness
from loom_connectors.ports.destination import Destination
from loom_loader.handler import fallen_back

OpenPlanned = Callable[[Plan], Awaitable[Destination]]


class DestinationCheck:
    """Checks destinations. Each check opens a destination of its own, because what one found may have changed by the
    time that batches are loaded."""

    def __init__(
        self, plans: PlanCache, open_destination: OpenPlanned, breakers: Breakers, credentials: Credentials
    ) -> None:
        self._plans = plans
        self._open_destination = open_destination
        self._breakers = breakers
        self._credentials = credentials

    async def __call__(self, request: CheckDestination, _: Context) -> DestinationChecked:
        """Check the destination of a plan, and its second one. Raises `TransientError` where one is away, and
        `PluginFailed` as its code does: the question is asked again. What else is wrong is in the answer. Where there
        is a second destination, nothing of the first stands in the way of the run."""
        plan = await self._plans.get(request.plan)
        if plan.pipeline.load.second is None:
            checks = await self._checked(plan, "destination")
        else:
            checks = [
                *[replace(each, doubtful=not each.ok) for each in await self._checked(plan, "destination", away=True)],
                *await self._checked(fallen_back(plan), "second destination"),
            ]
        fits = [fit for check in checks if check.what == "destination" for fit in check.fits]
        return DestinationChecked(
            run_id=request.run_id,
            pipeline=request.pipeline,
            epoch=request.epoch,
            checks=tuple(map(PreflightCheck.of, checks)),
            columns=tuple(map(PreflightColumn.of, with_fits((), fits, prompted_fields(prompt_text(plan))))),
        )

    async def _checked(self, plan: Plan, what: str, *, away: bool = False) -> list[Check]:
        """With `away`, nothing is raised of a destination that is away."""
        load = plan.pipeline.load
        ordered = bool(plan.pipeline.order_by)
        look = partial(readiness.of_destination, load=load, what=what, tell=str, in_sequence=ordered)
        seconds = durations.seconds(plan.pipeline.timeouts.load)
        async with within(seconds, "Checking the destination", "timeouts.load"):
            try:
                await self._credentials.fetch(load.destination)
                destination = await self._open_destination(plan)
            except LoomError as error:
                return self._raised([readiness.not_ready(what, error, str)], away=away)
            if away:
                return await look(destination)
            async with self._breakers.guarding(f"destination {destination.location}"):
                return self._raised(await look(destination), away=away)

    def _raised(self, checks: list[Check], *, away: bool) -> list[Check]:
        for check in checks:
            if isinstance(check.error, TransientError | PluginFailed) and not away:
                raise check.error
        return checks
