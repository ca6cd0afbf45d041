"""Writes the rows of batches as payloads, and gathers those of a run in the order of its source."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import BinaryIO

from loom_common.domain.json_values.exact_json import dumps
from loom_common.ports.payloads import PayloadStore
from loom_connectors.given.pieces import packed, unpacked
from loom_connectors.ports.destination import LoadBatch, Row


def name_of(batch: LoadBatch) -> str:
    """Return the name of a batch's rows: its run, and its place in the order of the source."""
    return f"{batch.run_id}.{batch.partition}.{batch.slice}.{batch.position}"


def packed_rows(rows: Sequence[Row]) -> bytes:
    """Return rows as they are kept: JSON Lines, compressed by Zstandard."""
    return packed(b"\n".join(dumps(row.values) for row in rows))


def rows_in(data: bytes) -> Sequence[bytes]:
    """Return the lines of what `packed_rows` wrote."""
    return unpacked(data).split(b"\n")


async def gather(payloads: PayloadStore, owner: str, run_id: str, stream: BinaryIO) -> int:
    """Write the kept rows of a run as JSON Lines, one batch after the other, and return how many there are. Raises
    `DependencyUnavailable`."""
    places = []
    for name in await payloads.names(owner):
        run, *place = name.rpartition("/")[2].rsplit(".", 3)
        if run == run_id:
            places.append((tuple(map(int, place)), name))
    count = 0
    for _, name in sorted(places):
        with suppress(KeyError):  # it was removed meanwhile, which the count tells
            rows = await asyncio.to_thread(rows_in, await payloads.get(name))
            await asyncio.to_thread(stream.writelines, (row + b"\n" for row in rows))
            count += len(rows)
    return count
