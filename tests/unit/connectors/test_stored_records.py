"""Tests records that are stored for one run, and read as its source."""

import asyncio
from pathlib import Path

import pytest

from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.values.stored_records import source_of
from loom_common.errors import ConfigurationError, RecordError, SourceError
from loom_connectors.given import pieces, storing
from loom_connectors.given.storing import discard, store
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.source import ReadRecord
from loom_connectors.registry import open_source

MUCH = 10**9


@pytest.fixture
def payloads(tmp_path):
    return FolderPayloads(tmp_path / "payloads")


def opened(name, payloads):
    return open_source(
        ExtractConfig(source=source_of(name)), ConnectorContext(Path(), Credentials(), payloads=payloads)
    )


async def records(*given, raises=None):
    for each in given:
        yield each if isinstance(each, ReadRecord) else ReadRecord("", each)
    if raises is not None:
        raise raises


async def read(name, payloads):
    return (await opened(name, payloads).read(None, 1_000_000)).records


async def test_records_are_read_as_they_were_stored(payloads):
    rows = [{"n": 2**80, "text": "a\nb\u2028«»", "none": None, "deep": {"a": [1.5, {}]}}, {}, {"n": 1}]
    name = await store(payloads, records(*rows), MUCH)
    found = await read(name, payloads)
    assert [each.data for each in found] == rows
    assert [each.position for each in found] == ["record 1", "record 2", "record 3"]


async def test_a_record_that_cannot_be_used_keeps_its_reason(payloads):
    broken = ReadRecord("line 2", {"raw": "{"}, RecordError("no JSON", code="bad_json", details={"line": 2}))
    name = await store(payloads, records({"n": 1}, broken, {"n": 3}), MUCH)
    first, second, third = await read(name, payloads)
    assert (first.error, third.error, second.data) == (None, None, {"raw": "{"})
    assert (str(second.error), second.error.code, second.error.details) == ("no JSON", "bad_json", {"line": 2})


async def test_no_record_is_none(payloads):
    source = opened(await store(payloads, records(), MUCH), payloads)
    page = await source.read(None, 10)
    assert (page.records, page.end) == ([], True)
    assert (await source.count(), await source.fields()) == (0, None)


async def test_records_are_stored_as_they_come_and_a_piece_is_kept_at_a_time(payloads, monkeypatch):
    monkeypatch.setattr(storing, "_PIECE", 1000)
    ahead, sizes = [], []
    given = stored = 0

    async def counted():
        nonlocal given
        for n in range(1000):
            given += 1
            ahead.append(given - stored)
            yield ReadRecord("", {"n": n, "text": "x" * 90})

    put = payloads.put

    async def put_counted(data, *, owner=None):
        nonlocal stored
        sizes.append(len(pieces.unpacked(data)))
        stored = given
        return await put(data, owner=owner)

    monkeypatch.setattr(payloads, "put", put_counted)
    name = await store(payloads, counted(), MUCH)
    assert max(ahead) <= 11
    assert max(sizes[:-1]) < 1100
    assert [each.data["n"] for each in await read(name, payloads)] == list(range(1000))


@pytest.mark.parametrize("error", [RuntimeError("the shop is closed"), asyncio.CancelledError()], ids=repr)
async def test_where_the_records_end_with_an_error_nothing_is_left(payloads, monkeypatch, error):
    monkeypatch.setattr(storing, "_PIECE", 1)
    with pytest.raises(type(error)):
        await store(payloads, records({"n": 1}, {"n": 2}, {"n": 3}, raises=error), MUCH)
    assert await payloads.owners() == {}


async def test_more_than_is_allowed_is_refused_and_removed(payloads, monkeypatch):
    monkeypatch.setattr(storing, "_PIECE", 1)
    with pytest.raises(ConfigurationError, match=r"more than 40 bytes, compressed, after 2 of them.*RECORDS_MAX_MB"):
        await store(payloads, records({"n": 1}, {"n": 2}, {"n": 3}), 40)
    monkeypatch.setattr(storing, "LARGEST_RECORD", 50)
    with pytest.raises(ConfigurationError, match="Record 2 has 109 bytes"):
        await store(payloads, records({"n": 1}, {"text": "x" * 98}), MUCH)
    assert await payloads.owners() == {}


async def test_what_was_discarded_is_said_where_it_is_read(payloads):
    name = await store(payloads, records({"n": 1}), MUCH)
    source = opened(name, payloads)
    await source.check()
    await discard(payloads, name)
    await discard(payloads, name)
    with pytest.raises(SourceError, match="no longer stored"):
        await source.read(None, 1)


async def test_other_data_of_the_store_is_no_list_of_records(payloads):
    other = await payloads.put(b"a plan", owner="given_" + "0" * 32)
    with pytest.raises(SourceError, match="is no list of records"):
        await opened(other, payloads).check()


@pytest.mark.parametrize("name", ["../secret", "given_1/2", "run_0123456789ab/" + "0" * 64])
def test_a_name_that_storing_never_gives_is_refused(payloads, name):
    with pytest.raises(ConfigurationError, match="were given to one run"):
        opened(name, payloads)


async def test_a_pipeline_cannot_name_them(payloads):
    name = await store(payloads, records({"n": 1}), MUCH)
    with pytest.raises(ConfigurationError, match="no pipeline can name"):
        opened(name, None)
