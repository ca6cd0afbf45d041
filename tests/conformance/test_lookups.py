"""Tests that every SQL system is looked up in the same way, by keys of every kind."""

from __future__ import annotations

import pytest

from loom_common.config.credentials import Credentials, EnvProvider
from loom_common.domain.definition.transforms.enrich import EnrichTransformConfig
from loom_common.errors import InvalidDefinition, RecordError
from loom_connectors.lookups.opening import open_lookup
from loom_connectors.ports.context import ConnectorContext
from support.destinations import SERVERS
from support.sql_systems import SQL_SYSTEMS, Database

SYSTEMS = {each.location.partition(":")[0]: each for each in SQL_SYSTEMS}
COLUMNS = "id INTEGER, code VARCHAR(20), price DECIMAL(10, 2), born DATE"
ROWS = "(1, 'one', 1.50, '2001-02-03'), (2, 'O''Neil', 2.00, NULL), (3, '007', NULL, NULL), (4, NULL, NULL, NULL), "
TWICE = "(5, 'twice', NULL, NULL), (6, 'twice', NULL, NULL)"


@pytest.fixture(params=SYSTEMS)
def place(request):
    """Provide a system, and the URL of the test's own database."""
    system = SYSTEMS[request.param]
    return system, request.getfixturevalue(system.server) if system.server else ""


@pytest.fixture
async def find(place, tmp_path):
    """Provide what looks values up in the system: by columns, keys, and the wanted columns."""
    system, url = place
    (tmp_path / "out").mkdir()
    database = Database.of(system, tmp_path, url)
    await database.run(f"CREATE TABLE customers ({COLUMNS})")
    await database.run(f"INSERT INTO customers VALUES {ROWS}{TWICE}")
    names = SERVERS
    context = ConnectorContext(tmp_path, Credentials({"env": EnvProvider(dict.fromkeys(names, url))}))

    async def found(by, keys, fields=("id",)):
        source = system.location.replace("scores", "customers", 2 if system.server is None else 1)
        source = source.replace("customers.", "scores.") if system.server is None else source
        config = EnrichTransformConfig(type="enrich", source=source, by=list(by), fields=list(fields))
        lookup = open_lookup(config, context)
        try:
            await lookup.check()
            return list(await lookup.find(keys))
        finally:
            await lookup.close()

    return found


async def test_rows_are_found_by_whole_numbers_texts_and_decimals_and_bound_as_values(find):
    one, two = {"code": "one"}, {"code": "O'Neil"}
    keys = [(1,), ("1",), (1.0,), (2,), (9,), ("x",), (10**30,), ("1.5",), ("1 OR 1=1",)]
    assert await find(["id"], keys, ["code"]) == [one, one, one, two, *[None] * 5]
    keys = [("one",), ("O'Neil",), ("007",), ("7",), (7,), ("' OR '1'='1",), ("twice",)]
    found = await find(["code"], keys)
    assert found[:6] == [{"id": 1}, {"id": 2}, {"id": 3}, None, None, None]
    assert isinstance(found[6], RecordError)
    assert await find(["price"], [(1.5,), ("1.50",), (2,), ("none",)]) == [{"id": 1}, {"id": 1}, {"id": 2}, None]


async def test_rows_are_found_by_days_and_by_several_columns(find):
    day, other, odd = await find(["born"], [("2001-02-03",), ("2001-02-04",), ("some day",)])
    assert (day, other) == ({"id": 1}, None)
    assert odd is None or isinstance(odd, RecordError)
    assert await find(["id", "code"], [(1, "one"), (1, "two"), ("2", "O'Neil")]) == [{"id": 1}, None, {"id": 2}]


async def test_a_column_that_is_not_there_is_told_with_those_that_are(find):
    with pytest.raises(InvalidDefinition, match=r"'idd'; expected a column .*: id, code, price, born"):
        await find(["idd"], [(1,)])
    with pytest.raises(InvalidDefinition, match=r"transform\.fields: found 'nope'"):
        await find(["id"], [(1,)], ["nope"])
