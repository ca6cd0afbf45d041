"""Tests compressed files: unpacked in constant memory, refused where they are bombs or damaged, added to at their
end."""

from __future__ import annotations

import gzip
import io
import tracemalloc

import pytest
import zstandard

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import DestinationError, InvalidDefinition, SourceError
from loom_connectors.files import compression
from loom_connectors.files.compression import COMPRESSIONS, unpacked
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from loom_connectors.registry import open_destination
from support.file_contents import content_of, records_in
from support.file_sources import source_of
from support.pieces import read_through

ROWS = [{"id": str(number), "text": f"«row» {number}\nof two lines"} for number in range(3000)]
PACKED = tuple(COMPRESSIONS)


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl"])
async def test_a_file_is_read_by_its_name(tmp_path, form, ending):
    name = f"in.{form}.{ending}"
    source = source_of(tmp_path, content_of(name, ROWS), name=name)
    assert [each.data for each in await read_through(source, 700)] == ROWS
    assert await source.count() == len(ROWS)
    await source.close()


async def test_the_option_says_it_where_the_name_does_not(tmp_path):
    packed = content_of("in.csv.gz", ROWS)
    source = source_of(tmp_path, packed, name="in.csv", compression="gz")
    assert len(await read_through(source)) == len(ROWS)
    await source.close()
    plain = source_of(tmp_path, content_of("in.csv", ROWS), name="in.csv.gz", compression="none")
    assert len(await read_through(plain)) == len(ROWS)
    with pytest.raises(InvalidDefinition, match="'gz', 'zst', 'bz2' or 'none'"):
        source_of(tmp_path, name="in.csv", compression="zip")


async def test_a_resumed_reader_finds_its_place(tmp_path):
    name = "in.csv.gz"
    source = source_of(tmp_path, content_of(name, ROWS), name=name)
    page = await source.read(None, 1000)
    later = await source.read(page.cursor, 1000)
    await source.close()
    other = source_of(tmp_path, name=name)
    assert await other.read(page.cursor, 1000) == later
    assert (await other.read(None, 1000)).records == page.records
    await other.close()


@pytest.mark.parametrize("ending", PACKED)
async def test_a_file_that_is_cut_off_or_damaged_is_told(tmp_path, ending):
    name = f"in.csv.{ending}"
    content = content_of(name, ROWS)
    source = source_of(tmp_path, content[: len(content) // 2], name=name)
    if ending != "zst":  # a Zstandard file that is cut off between two blocks ends there, as far as its reader tells
        with pytest.raises(SourceError, match=r"cannot be unpacked with .* beyond byte"):
            await read_through(source)
    other = source_of(tmp_path, b"id,text\n1,plain\n", name=name)
    with pytest.raises(SourceError, match="cannot be unpacked"):
        await other.check()
    await source.close()


@pytest.mark.parametrize("ending", PACKED)
def test_a_bomb_is_refused_in_constant_memory(ending, monkeypatch):
    monkeypatch.setattr(compression, "_FREE", 16 * 1024 * 1024)
    bomb = io.BytesIO()
    with COMPRESSIONS[ending].packed(bomb) as packed:
        for _ in range(40):
            packed.write(bytes(1024 * 1024))
    bomb.seek(0)
    tracemalloc.start()
    try:
        stream = unpacked(bomb, ending, "in.csv")
        with pytest.raises(SourceError, match="more than 1,000 times its size"):
            while stream.read(1024 * 1024):
                pass
        assert tracemalloc.get_traced_memory()[1] < 10 * 1024 * 1024
    finally:
        tracemalloc.stop()


async def test_a_file_that_asks_for_much_memory_is_refused(tmp_path):
    wide = zstandard.ZstdCompressionParameters(window_log=29)
    packed = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    content = packed.compress(b"id\n1\n" * 300_000) + packed.flush()
    with pytest.raises(SourceError, match="cannot be unpacked with Zstandard"):
        await source_of(tmp_path, content, name="in.csv.zst").check()


@pytest.mark.parametrize("ending", PACKED)
async def test_rows_are_added_at_the_end_and_the_same_rows_make_the_same_bytes(tmp_path, ending):
    for name in (f"a.csv.{ending}", f"b.csv.{ending}"):
        for run, mode in (("run_1", "replace"), ("run_2", "append")):
            config = LoadConfig(destination=name, mode=mode)
            opened = open_destination(config, ConnectorContext(tmp_path, Credentials({})))
            await opened.check()
            await opened.load(LoadBatch(run, "b", 0, 0, 0, [Row("r", {"id": run, "text": "«x»"})]))
            await opened.finalize(run, complete=True)
    content = (tmp_path / f"a.csv.{ending}").read_bytes()
    assert records_in(f"a.csv.{ending}", content) == [{"id": f"run_{at}", "text": "«x»"} for at in (1, 2)]
    assert content == (tmp_path / f"b.csv.{ending}").read_bytes()


async def test_a_file_that_rows_do_not_fit_is_told_as_a_plain_one_is(tmp_path):
    (tmp_path / "out.csv.gz").write_bytes(gzip.compress(b"a;b\n1;2\n"))
    config = LoadConfig(destination="out.csv.gz", mode="append")
    opened = open_destination(config, ConnectorContext(tmp_path, Credentials({})))
    with pytest.raises(DestinationError, match="no column 'id'; it has a, b"):
        await opened.load(LoadBatch("run_1", "b", 0, 0, 0, [Row("r", {"id": 1})]))
