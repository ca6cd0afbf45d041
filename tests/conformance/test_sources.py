"""Tests what every source must do: the same records whatever the page size and however it is split, and the same page
for the same cursor."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from loom_common.domain.run.piece import Piece
from loom_connectors.pieces import read, split
from loom_connectors.ports.source import Page, ReadRecord, Source
from support.pieces import pages_of, read_pieces
from support.rest_server import Api, serving
from support.sources import COARSE, MAKERS, ONE_PIECE, ROWS, Opens


@pytest.fixture(params=MAKERS, scope="session")
def opens(request, servers, tmp_path_factory) -> Iterator[Opens]:
    """Opens the source on records that all tests read and none changes."""
    where: Any = ""
    with ExitStack() as stack:
        if request.param.startswith("postgres"):
            where = servers.postgres.url_of(asyncio.run(servers.postgres.make()))
        elif request.param.startswith("mysql"):
            where = stack.enter_context(servers.mariadb.database())
        elif request.param.startswith("s3"):
            where = servers.seaweedfs.environment()
        elif request.param.startswith("google"):
            where = request.getfixturevalue("google_storage").environment()
        elif request.param.startswith("azure"):
            where = request.getfixturevalue("azurite").environment()
        elif request.param.startswith("rest"):
            where = stack.enter_context(serving(Api(ROWS)))
        yield asyncio.run(MAKERS[request.param](tmp_path_factory.mktemp("source"), where))


@pytest.fixture
async def source(opens):
    source = opens()
    yield source
    await source.close()


async def pages(source: Source, limit: int) -> list[tuple[Any, Page]]:
    return await pages_of(source, Piece(), limit)


def records_of(pages: list[tuple[Any, Page]]) -> list[ReadRecord]:
    return [record for _, page in pages for record in page.records]


async def test_it_knows_the_fields_of_its_records_beforehand_or_says_that_it_does_not(source):
    fields = await source.fields()
    assert fields is None or (set(fields.names) >= set(ROWS[0]) and fields.certain)


async def test_every_record_is_read_once(source):
    await source.check()
    records = records_of(await pages(source, 5))
    assert sorted(int(record.data["id"]) for record in records) == [row["id"] for row in ROWS]
    assert {record.data["text"] for record in records} == {row["text"] for row in ROWS}
    assert not [record.error for record in records if record.error]


async def test_the_page_size_changes_nothing(source):
    whole = records_of(await pages(source, 1000))
    assert len({record.position for record in whole}) == len(ROWS)
    for limit in (1, 2, 3, 7, 22, 23, 24):
        assert records_of(await pages(source, limit)) == whole


async def test_the_same_cursor_gives_the_same_page(source):
    for cursor, page in reversed(await pages(source, 4)):
        assert await source.read(cursor, 4) == page


async def test_the_last_cursor_gives_nothing_more(source):
    *_, (_, last) = await pages(source, 4)
    if last.cursor != {"at": "30", "skip": 0}:  # a user's connector decides that itself
        assert await source.read(last.cursor, 4) == Page([], last.cursor, end=True)


async def test_the_count_is_that_of_the_records(source):
    assert await source.count() in (len(ROWS), None)


async def test_the_pieces_are_the_source(source):
    whole = records_of(await pages(source, 1000))
    for parts in (1, 2, 3, 5, 40):
        pieces = await split(source, parts)
        assert 1 <= len(pieces) <= parts
        assert await split(source, parts) == pieces
        assert (pieces[0].start, pieces[-1].until) == (None, None)
        assert all(before.until == after.start for before, after in itertools.pairwise(pieces))
        assert await read_pieces(source, pieces, 4) == whole


async def test_a_piece_is_read_on_from_every_cursor_in_it(source):
    for piece in await split(source, 3):
        found = await pages_of(source, piece, 2)
        for cursor, page in reversed(found):
            assert await read(source, cursor, 2, piece.until) == page
        rest = records_of(found)
        for cursor, page in found:
            assert records_of(await pages_of(source, piece.model_copy(update={"start": cursor}), 1000)) == rest
            rest = rest[len(page.records) :]


async def test_records_of_one_key_are_in_one_piece_where_it_says_so(source, request):
    pieces = await split(source, 4)
    found = [{record.data["half"] for record in await read_pieces(source, [piece], 50)} for piece in pieces]
    if "duplicate-key" in request.node.callspec.id:
        assert all(piece.whole_keys for piece in pieces)
        assert sum(map(len, found)) == len(set().union(*found))


async def test_a_small_source_is_one_piece_unless_more_are_asked_for(source):
    assert list(await split(source, None)) == [Piece()]


async def test_a_source_that_can_be_split_is(source, request):
    name = request.node.callspec.id
    least, most = (1, 1) if name in ONE_PIECE else (2, 3) if name in COARSE else (3, 3)
    assert least <= len(await split(source, 3)) <= most
