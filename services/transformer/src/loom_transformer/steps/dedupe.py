"""Finds the records whose values another record of the run has, too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from loom_common.domain.run.plan import Plan
from loom_common.domain.steps.grouping import group_hash, value_of
from loom_common.domain.steps.operators import DedupeStep
from loom_common.ports.seen_values import SeenValue, SeenValues


class SeenStore:
    """Opens the store of the values that records have when a plan first needs it."""

    def __init__(self, open_store: Callable[[], SeenValues]) -> None:
        self._open_store = open_store
        self._store: SeenValues | None = None

    async def first(self, values: Sequence[SeenValue]) -> Sequence[str]:
        """Return the first record with each value. Raises `DependencyUnavailable`."""
        if self._store is None:
            self._store = self._open_store()
        return await self._store.first(values)

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Close the store at the end of the block."""
        try:
            yield
        finally:
            if self._store is not None:
                await self._store.close()


@dataclass(frozen=True, slots=True)
class Dedupe:
    """Compares the records of all batches of a run by the values of some fields."""

    config: DedupeStep
    origin: str | None
    """Names the run that first read the records of a replay; None for the run itself."""
    store: SeenStore

    def digest(self, view: Mapping[str, Any]) -> str | None:
        """Return the hash of a record's values; None where one is null. Raises `RecordError` where it lacks one."""
        values = [value_of(view, name) for name in self.config.by]
        return None if None in values else group_hash(values)

    async def firsts(self, run_id: str, records: Sequence[tuple[str, str]]) -> Sequence[str]:
        """Return for each record, given by its id and its hash, the id of the first that has this hash. Asking again
        gives the same answer. Raises `DependencyUnavailable`."""
        scope, check = self.origin or run_id, f"step/{self.config.name}"
        return await self.store.first([SeenValue(scope, check, digest, record_id) for record_id, digest in records])


def dedupe_of(config: DedupeStep, plan: Plan, store: SeenStore) -> Dedupe:
    """Return what the step of a plan does."""
    replay = plan.replay
    return Dedupe(config, None if replay is None else replay.origin or replay.run_id, store)
