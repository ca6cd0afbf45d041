"""Tests that any table that Python's writer writes is read back, in pages of any size, from any cursor."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_source
from support.pieces import MOST_PAGES

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NASTY = st.sampled_from(["", '"', '""', ",", "\n", "\r\n", "\r", " ", "a,b", 'say "so"', "é\n\n", "'", ";\t|", "\x1c"])
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(TEXT | NASTY, min_size=width, max_size=width), max_size=12).map(
        lambda rows: ([f"c{n}" for n in range(width)], rows)
    )
)
SIZES = st.lists(st.integers(1, 5), min_size=1, max_size=6)


def source_of(folder: str, table, encoding: str, terminator: str):
    columns, rows = table
    with (Path(folder) / "t.csv").open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream, lineterminator=terminator, quoting=csv.QUOTE_ALL).writerows([columns, *rows])
    return open_source(ExtractConfig(source="t.csv"), ConnectorContext(Path(folder), Credentials({})))


async def pages(source, sizes):
    found, cursor = [], None
    while not found or not found[-1][2].end:
        assert len(found) < MOST_PAGES, "The file has no end."
        size = sizes[len(found) % len(sizes)]
        found.append((cursor, size, await source.read(cursor, size)))
        cursor = found[-1][2].cursor
    return found


@settings(max_examples=150, deadline=None)
@given(TABLES, SIZES, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.sampled_from(["\n", "\r\n"]))
async def test_any_table_is_read_as_it_was_written(table, sizes, encoding, terminator):
    with tempfile.TemporaryDirectory() as folder:
        source = source_of(folder, table, encoding, terminator)
        found = await pages(source, sizes)
        records = [record for _, _, page in found for record in page.records]
        columns, rows = table
        assert [record.data for record in records] == [dict(zip(columns, row, strict=True)) for row in rows]
        assert not any(record.error for record in records)
        assert await source.count() == len(rows)
        for cursor, size, page in reversed(found):
            assert await source.read(cursor, size) == page


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), SIZES)
async def test_no_bytes_make_a_traceback_and_the_page_size_changes_nothing(noise, sizes):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "t.csv").write_bytes(b"a,b\n" + noise)
        source = open_source(ExtractConfig(source="t.csv"), ConnectorContext(Path(folder), Credentials({})))
        records = [record for _, _, page in await pages(source, sizes) for record in page.records]
        (whole,) = await pages(source, [1000])
        assert [(each.position, each.data, str(each.error)) for each in records] == [
            (each.position, each.data, str(each.error)) for each in whole[2].records
        ]
