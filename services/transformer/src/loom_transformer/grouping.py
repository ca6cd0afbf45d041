"""Keeps the records of batches that steps have grouped until all records of their run are there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from loom_common.contracts.v1 import BatchHeader, ExtractedRecord
from loom_common.domain.definition.transforms.steps import StepsTransformConfig
from loom_common.domain.run.plan import Plan
from loom_common.ports.group_members import GroupMembers
from loom_common.sealed_stages.members import SealerOf, sealed_members
from loom_transformer.outcome import TransformOutcome


class Groups:
    """Adds records to groups. Nothing is opened for a service whose plans have none."""

    def __init__(self, open_store: Callable[[], GroupMembers], sealer_of: SealerOf | None = None) -> None:
        """`sealer_of` seals the members of plans with sensitive fields; without it, they are kept in clear."""
        self._open_store = open_store
        self._sealer_of = sealer_of
        self._store: GroupMembers | None = None

    async def keep(
        self,
        plan: Plan,
        header: BatchHeader,
        given: Sequence[ExtractedRecord],
        outcomes: Sequence[TransformOutcome],
        steps: Collection[str],
    ) -> int:
        """Keep those of a batch that `steps` have grouped, in place of those that they grouped when the batch was
        there before. `outcomes` are those of all records that leave the steps, in their order. Return how many were
        grouped. Raises
        `DependencyUnavailable`, and as `sealed_members` does."""
        step = next_group(plan, given)
        if step is None or step not in steps:
            return 0
        batch = f"{header.partition:05}{header.slice:07}{header.position:05}"
        members = [
            replace(each.grouped, place=f"{batch}{number:07}")
            for number, each in enumerate(outcomes)
            if each.grouped is not None
        ]
        if self._store is None:
            self._store = self._open_store()
        await self._store.keep(header.run_id, step, batch, await sealed_members(members, plan, self._sealer_of))
        return len(members)

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Close the store at the end of the block."""
        try:
            yield
        finally:
            if self._store is not None:
                await self._store.close()


def next_group(plan: Plan, given: Sequence[ExtractedRecord]) -> str | None:
    """Return the step that groups the records of a batch: the first one, or the one after that which made them; None
    where none does."""
    config = plan.pipeline.transform
    if not isinstance(config, StepsTransformConfig) or not given:
        return None
    derived = given[0].derived
    return config.graph.group_after(None if derived is None else derived.step)


def made_of_groups(plan: Plan, given: Sequence[ExtractedRecord]) -> Iterator[tuple[ExtractedRecord, str]]:
    """Yield those records of a batch that a step of this run has made of groups, with the step."""
    config = plan.pipeline.transform
    if not isinstance(config, StepsTransformConfig) or plan.replay is not None:
        return
    for record in given:
        if record.derived is not None and record.derived.step in config.graph.groups:
            yield record, record.derived.step
