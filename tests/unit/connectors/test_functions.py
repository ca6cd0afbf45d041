"""Tests functions of the user's as sources and destinations."""

from __future__ import annotations

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.run.piece import Piece
from loom_common.errors import ConfigurationError, DestinationError, PluginFailed, SourceError, UserCodeError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import Guarantee, LoadResult
from loom_connectors.registry import open_destination, open_source
from support.destinations import batch, row
from support.pieces import pages_of

SHOP = """
calls, closed, taken = [], [], []
ROWS = [{"id": n} for n in range(7)]

def plain(): return ROWS
def generator():
    calls.append("generator")
    try:
        yield from ROWS
    finally:
        closed.append("generator")
async def asynchronous():
    for row in ROWS: yield row
async def returned(): return ROWS
def iterator(): return iter(ROWS)
def parameters(since, until=9): return [{"since": since, "until": until}]
def everything(**given): return [given]
def bad(): return [{"id": 1}, 3, {"id": 2, "why": {1}}]
def nothing(): return None
def raises():
    yield {"id": 1}
    raise RuntimeError("closed")
def less():
    calls.append("less")
    return ROWS[: 3 if calls.count("less") > 1 else 7]

def take(rows): taken.extend(rows)
async def take_later(rows): taken.extend(rows)
def refuse(rows): return [{"index": 1, "error": "too late"}]
def confused(rows): return True
def refuse_all(rows): raise ValueError("no")
"""


@pytest.fixture
def context(tmp_path):
    (tmp_path / "shop.py").write_text(SHOP)
    return ConnectorContext(tmp_path, Credentials(), params={"since": 3, "other": 1})


async def read(context, name, limit=3):
    source = open_source(ExtractConfig(source=f"python:shop:{name}"), context)
    try:
        pages = await pages_of(source, Piece(), limit)
        for cursor, page in reversed(pages):
            again = await source.read(cursor, limit)
            assert (again.cursor, again.end) == (page.cursor, page.end)
            assert [(each.position, each.data) for each in again.records] == [
                (each.position, each.data) for each in page.records
            ]
    finally:
        await source.close()
    return [record for _, page in pages for record in page.records]


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
@pytest.mark.parametrize("name", ["plain", "generator", "asynchronous", "returned", "iterator"])
async def test_every_kind_of_function_is_read_from_every_cursor(context, name, limit):
    records = await read(context, name, limit)
    assert [record.data["id"] for record in records] == list(range(7))
    assert [record.position for record in records] == [f"record {n + 1}" for n in range(7)]


@pytest.mark.parametrize(
    ("name", "data"), [("parameters", {"since": 3, "until": 9}), ("everything", {"since": 3, "other": 1})]
)
async def test_a_function_gets_the_parameters_that_it_names(context, name, data):
    assert [record.data for record in await read(context, name)] == [data]


async def test_one_bad_record_costs_itself(context):
    good, odd, bad = await read(context, "bad")
    assert (good.error, bad.data) == (None, {"id": 2})
    assert "record 2 is of type int, not a dict" in str(odd.error)
    assert "record 3, field 'why': a value of type set has no JSON form" in str(bad.error)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("raises", PluginFailed, "python:shop:raises raised RuntimeError: closed"),
        ("nothing", SourceError, "The function returned NoneType"),
        ("less", SourceError, "has yielded 3 records, and 6 when it was called before"),
        ("plian", UserCodeError, "Did you mean 'plain'?"),
    ],
)
async def test_what_a_source_cannot_do_is_said(context, name, error, words):
    with pytest.raises(error) as raised:
        await read(context, name)
    assert words in str(raised.value)


@pytest.mark.parametrize("location", ["python:shop", "python::plain", "python:shop:a b"])
def test_what_is_no_function_s_name_is_said(context, location):
    with pytest.raises(ConfigurationError, match="expected python:module:function"):
        open_source(ExtractConfig(source=location), context)
    with pytest.raises(ConfigurationError, match="expected python:module:function"):
        open_destination(LoadConfig(destination=location), context)


@pytest.mark.parametrize("name", ["take", "take_later"])
async def test_a_function_takes_rows(context, name):
    destination = open_destination(LoadConfig(destination=f"python:shop:{name}"), context)
    assert destination.guarantee is Guarantee.AT_LEAST_ONCE
    assert await destination.load(batch(0, row(1), row(2))) == LoadResult(2)
    assert await destination.load(batch(1)) == LoadResult(0)
    await destination.close()


async def test_a_row_that_the_function_refuses_is_named(context):
    destination = open_destination(LoadConfig(destination="python:shop:refuse"), context)
    result = await destination.load(batch(0, row(1), row(2)))
    assert (result.loaded, [(each.code, each.reason) for each in result.failed]) == (1, [("refused", "too late")])
    await destination.close()


@pytest.mark.parametrize(("name", "error"), [("confused", DestinationError), ("refuse_all", PluginFailed)])
async def test_what_a_destination_cannot_do_is_said(context, name, error):
    destination = open_destination(LoadConfig(destination=f"python:shop:{name}"), context)
    with pytest.raises(error, match=f"python:shop:{name} "):
        await destination.load(batch(0, row(1)))
    await destination.close()


def test_a_function_has_no_modes(context):
    with pytest.raises(ConfigurationError, match="the function decides"):
        open_destination(LoadConfig(destination="python:shop:take", mode="replace"), context)
