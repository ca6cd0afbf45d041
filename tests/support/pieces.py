"""Reads sources and their pieces page by page in tests. What never ends fails."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from loom_common.domain.run.piece import Piece
from loom_connectors.pieces import read
from loom_connectors.ports.source import Page, ReadRecord, Source
from loom_dev.waiting import within

MOST_PAGES = 10_000
PAGE_SECONDS = 60.0


async def pages_of(source: Source, piece: Piece, limit: int) -> list[tuple[Any, Page]]:
    """Return every page of a piece, with the cursor it was read from, after a way through JSON."""
    piece = Piece.model_validate_json(piece.model_dump_json())
    found: list[tuple[Any, Page]] = []
    cursor = piece.start
    while not found or not found[-1][1].end:
        assert len(found) < MOST_PAGES, f"The source has no end: its last page began at {cursor}."
        async with within(PAGE_SECONDS, f"the page at {cursor}"):
            page = await read(source, cursor, limit, piece.until)
        assert len(page.records) <= limit
        found.append((cursor, page))
        cursor = json.loads(json.dumps(page.cursor))
    return found


async def read_through(source: Source, page: int = 1000) -> list[ReadRecord]:
    """Return all records of a source, read in pages."""
    return await read_pieces(source, [Piece()], page)


async def read_pieces(source: Source, pieces: Sequence[Piece], limit: int) -> list[ReadRecord]:
    """Return the records of all pieces, one piece after the other."""
    return [record for piece in pieces for _, page in await pages_of(source, piece, limit) for record in page.records]
