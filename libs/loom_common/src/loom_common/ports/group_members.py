"""Defines the port of the records that steps have grouped, which are kept until all records of their run are there."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from loom_common.domain.steps.grouping import GroupMember

Cursor = tuple[str, str]
"""Is the group and the place of a member."""


class GroupMembers(Protocol):
    """Keeps the members of groups. What a method has returned for outlives this process.

    Every method raises `DependencyUnavailable` or `PermanentError` where the store cannot be used."""

    async def keep(self, run_id: str, step: str, batch: str, members: Sequence[GroupMember]) -> None:
        """Keep the members of groups of `step` that one batch has, in place of those that it had before. `batch` is
        what the places of its members begin with."""
        ...

    async def page(self, run_id: str, step: str, after: Cursor | None, limit: int) -> Sequence[GroupMember]:
        """Return the next members of all groups, those of one group after each other, in the order of their places."""
        ...

    async def runs(self) -> Sequence[str]:
        """Return the runs of which members are kept."""
        ...

    async def forget(self, run_ids: Collection[str]) -> None:
        """Drop the members of these runs."""
        ...

    async def close(self) -> None:
        """Close the connections of the store."""
        ...
