"""Seals the members of groups, which wait in a table until their groups are complete.

The values that make a group stand in ids, so no sensitive field is among them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from loom_common.domain.run.plan import Plan
from loom_common.domain.steps.grouping import GroupMember
from loom_common.sealing.sealer import Sealer

SealerOf = Callable[[Plan], Awaitable[Sealer]]
"""Returns what seals the records of a plan that has sensitive fields. Raises `PermanentError` where a key is
missing."""
_SEALED = "sealed"
_PATH = "group"


async def sealed_members(
    members: Sequence[GroupMember], plan: Plan, sealer_of: SealerOf | None
) -> Sequence[GroupMember]:
    """Return the members with all their values sealed as one, where the plan has sensitive fields. Raises as
    `sealer_of` does."""
    if sealer_of is None or not plan.pipeline.sensitive or not members:
        return members
    sealer = await sealer_of(plan)
    return [replace(each, values={_SEALED: sealer.value(_PATH, dict(each.values))}) for each in members]


async def opening_members(plan: Plan, sealer_of: SealerOf | None) -> Callable[[GroupMember], GroupMember]:
    """Return what opens the members that `sealed_members` has sealed. It raises `PermanentError` where one cannot be
    opened."""
    if sealer_of is None or not plan.pipeline.sensitive:
        return lambda member: member
    sealer = await sealer_of(plan)
    return lambda member: replace(member, values=sealer.opened_value(_PATH, member.values[_SEALED]))
