"""Describes the result of one check before a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loom_common.domain.values.fields import ColumnFit, Fields
from loom_common.errors import LoomError, Problem


@dataclass(frozen=True, slots=True)
class Check:
    """Describes one thing that was checked."""

    what: str
    """`credentials`, `encryption`, `source`, `lookup`, `incremental`, `fields`, `params`, `models`, `evaluators`,
    `prices`, `budget`, `schema`, `destination`, `second destination` or `columns`."""
    ok: bool
    detail: str
    doubtful: bool = False
    """Tells whether the finding does not stand in the way of a run, and may still be a mistake."""
    problems: tuple[Problem, ...] = ()
    """Says what is wrong, where it can be told with its place in the file."""

    @property
    def words(self) -> list[str]:
        """Return what there is to say where this stands in the way of a run."""
        return [str(problem) for problem in self.problems] or [self.detail]

    records: int | None = None
    """Says how many records the source has, where that is known."""
    fields: Fields | None = None
    """Names the fields of the source, where they are known."""
    fits: Sequence[ColumnFit] = ()
    """Compares the columns of the destination with those that are written."""
    away: bool = False
    """Tells whether it cannot be reached, which may change without anybody's doing."""
    error: LoomError | None = None
    """Holds what was raised by the source or the destination that was looked at."""
