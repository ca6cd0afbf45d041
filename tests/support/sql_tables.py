"""Checks what every database promises whose types Loom writes and reads by rules of its own, with the table `t`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.run.piece import Piece
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_destination, open_source
from support.load_batches import batch
from support.pieces import pages_of, read_pieces

HALVES = "(5, 2), (0, 0), (1, 0), (2, 1), (3, 1), (4, 2)"
"""Rows of a table with the columns `id` and `half`, for `each_record_is_read_once`."""
READ_ONCE = {
    "duplicates and nulls": {"key": "h", "query": "SELECT id, NULLIF(half, 1) AS h FROM t -- all\n;"},
    "two keys": {"key": ["half", "id"]},
}


def opening(default: str, folder: Path):
    """Return what opens the table `t`, or a query, as a source or a destination."""

    @asynccontextmanager
    async def open_one(*, url=default, start=None, **config):
        context = ConnectorContext(folder, Credentials({"env": EnvProvider({"URL": url})}), start=start)
        if "mode" not in config and "key" in config:
            source = "${URL}" if "query" in config else "${URL}&table=t"
            found = open_source(ExtractConfig(source=source, **config), context)
        else:
            found = open_destination(LoadConfig(destination="${URL}&table=t", **config), context)
        try:
            yield found
        finally:
            await found.close()

    return open_one


async def values_come_back(opened, values: Mapping[str, Any]) -> None:
    async with opened() as destination:
        result = await destination.load(batch(values, {"id": 1}))
    assert (result.loaded, result.failed) == (2, ())
    async with opened(key="id") as source:
        page = await source.read(None, 10)
    assert [each.data for each in page.records] == [dict.fromkeys(values) | {"id": 1}, values]


async def what_would_change_is_refused(opened, refused: Mapping[str, tuple[Any, str]]) -> None:
    """Load each value, by the column that it does not fit, and look for the words that say why."""
    rows = [{"id": at, name: value} for at, (name, (value, _)) in enumerate(refused.items())]
    async with opened() as destination:
        result = await destination.load(batch(*rows, {"id": 99}))
    assert result.loaded == 1
    for (name, (_, words)), row in zip(refused.items(), result.failed, strict=True):
        assert (row.code, f"column {name}" in row.reason, words in row.reason) == ("type", True, True), row


async def each_record_is_read_once(opened, extract: Mapping[str, Any]) -> None:
    """Read the rows of `HALVES` in pages, from every cursor, and in pieces."""
    async with opened(**extract) as source:
        [(_, whole)] = await pages_of(source, Piece(), 100)
        assert sorted(record.data["id"] for record in whole.records) == [0, 1, 2, 3, 4, 5]
        found = await pages_of(source, Piece(), 1)
        assert [record for _, page in found for record in page.records] == list(whole.records)
        for cursor, page in reversed(found):
            assert await source.read(cursor, 1) == page
        pieces = await source.split(2)
        assert len(pieces) == 2
        assert await read_pieces(source, pieces, 2) == list(whole.records)
