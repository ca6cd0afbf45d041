"""Splits and reads sources of either kind: those that can be split, and those that are always one piece."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from loom_common.domain.run.piece import Piece
from loom_connectors.ports.source import DivisibleSource, Page, Source


async def split(source: Source, parts: int | None) -> Sequence[Piece]:
    """Return the pieces of a source, as `DivisibleSource.split` does."""
    return await source.split(parts) if isinstance(source, DivisibleSource) else (Piece(),)


async def read(source: Source, cursor: Any, limit: int, until: Any) -> Page:
    """Read a page of a piece that ends at the cursor `until`. A piece with an end is one of a source that was split."""
    if until is None:
        return await source.read(cursor, limit)
    assert isinstance(source, DivisibleSource)
    return await source.read(cursor, limit, until)


def pieces_between(cursors: Iterable[Any], *, whole_keys: bool = False) -> list[Piece]:
    """Return the pieces of a source that is split at these cursors; the whole source where there is none."""
    edges = [None, *cursors, None]
    keys = whole_keys and len(edges) > 2  # of the source as a whole nobody asks it
    return [Piece(start=start, until=until, whole_keys=keys) for start, until in pairwise(edges)]
