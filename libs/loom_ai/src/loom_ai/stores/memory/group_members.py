"""Keeps the records that steps have grouped in memory, for estimates and tests."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from loom_common.domain.steps.grouping import GroupMember
from loom_common.ports.group_members import Cursor


class MemoryGroupMembers:
    """Keeps `GroupMembers` as long as the process lives."""

    def __init__(self) -> None:
        self._members: dict[tuple[str, str], dict[str, GroupMember]] = {}

    async def keep(self, run_id: str, step: str, batch: str, members: Sequence[GroupMember]) -> None:
        kept = self._members.get((run_id, step), {})
        others = {place: each for place, each in kept.items() if not place.startswith(batch)}
        self._members[run_id, step] = {**others, **{each.place: each for each in members}}

    async def page(self, run_id: str, step: str, after: Cursor | None, limit: int) -> Sequence[GroupMember]:
        ordered = sorted(self._members.get((run_id, step), {}).values(), key=lambda each: (each.group, each.place))
        return [each for each in ordered if after is None or (each.group, each.place) > after][:limit]

    async def runs(self) -> Sequence[str]:
        return list({run_id for (run_id, _), kept in self._members.items() if kept})

    async def forget(self, run_ids: Collection[str]) -> None:
        self._members = {key: kept for key, kept in self._members.items() if key[0] not in run_ids}

    async def close(self) -> None:
        pass
