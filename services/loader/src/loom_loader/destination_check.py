"""Looks at the destinations of a run before its first slice, and compares their columns with those it writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from loom_common.caching.plan_cache import PlanCache
from loom_common.caching.resource_cache import ResourceCache
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
from loom_loader.handler import fallen_back, second_key

OpenPlanned = Callable[[Plan], Awaitable[Destination]]


class DestinationCheck:
    """Checks destinations, as they are open for batches or will be: one that does what it should stays open, so that
    the first batches find its connection. One that does not is checked once more after it was opened anew, and closed
    again: what was wrong may have been mended, or be a connection that was lost."""

    def __init__(
        self,
        plans: PlanCache,
        destinations: ResourceCache[Destination],
        open_destination: OpenPlanned,
        breakers: Breakers,
        credentials: Credentials,
    ) -> None:
        """`destinations` are those that batches are loaded into."""
        self._plans = plans
        self._destinations = destinations
        self._open_destination = open_destination
        self._breakers = breakers
        self._credentials = credentials

    async def __call__(self, request: CheckDestination, _: Context) -> DestinationChecked:
        """Check the destination of a plan, and its second one. Raises `TransientError` where one is away, and
        `PluginFailed` as its code does: the question is asked again. What else is wrong is in the answer. Where there
        is a second destination, nothing of the first stands in the way of the run."""
        plan = await self._plans.get(request.plan)
        if plan.pipeline.load.second is None:
            checks = await self._checked(request.plan, plan, "destination")
        else:
            first = await self._checked(request.plan, plan, "destination", away=True)
            checks = [
                *[replace(each, doubtful=not each.ok) for each in first],
                *await self._checked(second_key(request.plan), fallen_back(plan), "second destination"),
            ]
        fits = [fit for check in checks if check.what == "destination" for fit in check.fits]
        return DestinationChecked(
            run_id=request.run_id,
            pipeline=request.pipeline,
            epoch=request.epoch,
            checks=tuple(map(PreflightCheck.of, checks)),
            columns=tuple(map(PreflightColumn.of, with_fits((), fits, prompted_fields(prompt_text(plan))))),
        )

    async def _checked(self, key: str, plan: Plan, what: str, *, away: bool = False) -> list[Check]:
        """Check the destination that is kept under `key`. With `away`, nothing is raised of one that is away."""
        location, seconds = plan.pipeline.load.destination, durations.seconds(plan.pipeline.timeouts.load)
        async with within(seconds, "Checking the destination", "timeouts.load"), AsyncExitStack() as unused:
            try:  # also where one is open: its settings may be refused by now
                await self._credentials.fetch(location)
                opened = await self._open_destination(plan)
            except LoomError as error:
                return self._raised([readiness.not_ready(what, error, str)], away=away)
            unused.push_async_callback(opened.close)
            look = partial(self._looked_at, key, plan, what, opened, unused)
            if key in self._destinations:
                checks = await look()
                if all(check.ok for check in checks):
                    return checks
            if away:
                return await look()
            async with self._breakers.guarding(f"destination {opened.location}"):
                return self._raised(await look(), away=away)

    async def _looked_at(
        self, key: str, plan: Plan, what: str, opened: Destination, unused: AsyncExitStack
    ) -> list[Check]:
        """Look at the destination under `key`, which is the one that was just `opened` where there is none. It is
        `unused` until then."""
        load, ordered = plan.pipeline.load, bool(plan.pipeline.order_by)
        async with self._destinations.of(key, lambda: opened, (load.destination,)) as destination:
            if destination is opened:
                unused.pop_all()
            checks = await readiness.of_open_destination(destination, load, what, str, in_sequence=ordered)
            if not all(check.ok for check in checks):
                await self._destinations.discard(key)
        return checks

    def _raised(self, checks: list[Check], *, away: bool) -> list[Check]:
        for check in checks:
            if isinstance(check.error, TransientError | PluginFailed) and not away:
                raise check.error
        return checks
