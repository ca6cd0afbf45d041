"""Reads the groups that a step has made of a run's records, as a source is read, once all of these are there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from loom_common.contracts.v1 import Derived, ExtractSlice
from loom_common.domain.definition.transforms.steps import StepsTransformConfig
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.stages import visited
from loom_common.domain.steps.grouping import GroupMember, GroupRecord
from loom_common.domain.steps.operators import GroupStep
from loom_common.errors import PermanentError
from loom_common.ports.group_members import GroupMembers
from loom_common.sealed_stages.members import SealerOf, opening_members
from loom_common.worker.slices import Slice, SliceRecord, cut

_PAGE = 1_000
"""The number of members that are read at once."""
_MOST_MEMBERS = 50_000
"""After so many members a slice ends with the group that is being read, so that reading one takes a bounded time
however large groups are."""


Opened = Callable[[GroupMember], GroupMember]
"""Returns a member with its values in clear."""


@dataclass(frozen=True, slots=True)
class GroupPage:
    """Holds the records of some groups."""

    records: list[SliceRecord]
    cursor: Any
    """Says where the next page begins: the last member that was read, and how many records were made of its group."""
    end: bool


class GroupReader:
    """Makes the record of each group of its members. Nothing is opened before the first group is read."""

    def __init__(self, open_store: Callable[[], GroupMembers], sealer_of: SealerOf | None = None) -> None:
        """`sealer_of` opens the members of plans with sensitive fields; without it, they are in clear."""
        self._open_store = open_store
        self._sealer_of = sealer_of
        self._store: GroupMembers | None = None

    async def read(self, request: ExtractSlice, plan: Plan, step: str) -> Slice:
        """Read a slice of the groups of a step. Raises `DependencyUnavailable`; `PermanentError` for a plan that does
        not have the step."""
        config = plan.pipeline.transform
        steps = config.steps if isinstance(config, StepsTransformConfig) else ()
        grouping = next((each for each in steps if each.name == step), None)
        if not isinstance(grouping, GroupStep):
            raise PermanentError(f"Run {request.run_id} asks for the groups of {step}, which no step of its plan is.")
        if self._store is None:
            self._store = self._open_store()
        limit = request.max_batches * plan.pipeline.extract.batch_size
        opened = await opening_members(plan, self._sealer_of)
        page = await groups(self._store, request.run_id, grouping, request.cursor, limit, opened)
        return cut(
            request,
            page.records,
            extract=plan.pipeline.extract,
            cursor=page.cursor,
            end=page.end,
            on_failure=config.on_failure,
            stages=visited(plan),
        )

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Close the store at the end of the block."""
        try:
            yield
        finally:
            if self._store is not None:
                await self._store.close()


async def groups(
    store: GroupMembers, run_id: str, step: GroupStep, cursor: Any, limit: int, opened: Opened | None = None
) -> GroupPage:
    """Return at most `limit` records of groups after a cursor. The same members always come to the same records. Those
    that are sealed are `opened`."""
    last: tuple[str, str] | None = None if cursor is None else (cursor["group"], cursor["place"])
    number = 0 if cursor is None else int(cursor["number"])
    made: list[GroupRecord] = []
    ended = (last, number)
    read = 0
    async for member in _members(store, run_id, step.name, last):
        current = made[-1] if made else None
        if current is None or current.group != member.group or current.is_full:
            if len(made) == limit or read >= _MOST_MEMBERS:
                return _page(made, *ended, end=False)
            number = number + 1 if ended[0] is not None and ended[0][0] == member.group else 1
            made.append(GroupRecord(step, member, number))
        made[-1].add(member if opened is None else opened(member))
        read += 1
        ended = ((member.group, member.place), number)
    return _page(made, *ended, end=True)


async def _members(
    store: GroupMembers, run_id: str, step: str, after: tuple[str, str] | None
) -> AsyncIterator[GroupMember]:
    while True:
        page = await store.page(run_id, step, after, _PAGE)
        for member in page:
            yield member
        if len(page) < _PAGE:
            return
        after = (page[-1].group, page[-1].place)


def _page(made: list[GroupRecord], last: tuple[str, str] | None, number: int, *, end: bool) -> GroupPage:
    cursor = None if last is None else {"group": last[0], "place": last[1], "number": number}
    return GroupPage([_record(each) for each in made], cursor, end)


def _record(made: GroupRecord) -> SliceRecord:
    """Return the record of a group as it enters the steps after the one that made it."""
    data = made.data
    derived = Derived(made.first, made.step, tuple(data), members=made.members)
    return SliceRecord(made.id, data, made.error, derived)
