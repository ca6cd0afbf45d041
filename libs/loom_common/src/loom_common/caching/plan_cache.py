"""Keeps a cache of the last plans, so that messages only need to carry a plan's hash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cachetools import LRUCache

from loom_common.domain.run.plan import Plan
from loom_common.errors import PermanentError
from loom_common.ports.payloads import PayloadStore


class PlanCache:
    """Keeps plans by hash, each read once from the payload store. At most `capacity` are kept."""

    def __init__(
        self, payloads: PayloadStore, capacity: int = 32, check: Callable[[Plan], None] = lambda _: None
    ) -> None:
        """`check` raises for a plan that this process does not carry out."""
        self._check = check
        self._payloads = payloads
        self._plans: LRUCache[str, Plan] = LRUCache(capacity)
        self._lock = asyncio.Lock()

    async def get(self, plan_hash: str) -> Plan:
        """Return the plan with that hash. Raises `PermanentError` where the payload store does not have it, and what
        `check` raises."""
        if (plan := self._plans.get(plan_hash)) is not None:
            return plan
        async with self._lock:
            if plan_hash not in self._plans:
                self._plans[plan_hash] = await self._read(plan_hash)
            return self._plans[plan_hash]

    async def _read(self, plan_hash: str) -> Plan:
        try:
            plan = Plan.decoded(await self._payloads.get(plan_hash))
        except KeyError:
            raise PermanentError(
                f"The plan {plan_hash[:12]} is not in this worker's payload store. "
                "Every service must use the same LOOM_PAYLOADS_URL."
            ) from None
        self._check(plan)
        return plan
