"""Tests what every store of the other sources that steps join with must do."""

from __future__ import annotations

import pytest

from loom_ai.stores.beside_budgets import open_joined_tables
from loom_ai.stores.joined.memory import MemoryJoinedTables
from loom_ai.stores.joined.sql import SqlJoinedTables
from loom_ai.stores.sql.sqlite import sqlite_engine
from loom_common.config.settings import JournalSettings, Settings
from loom_common.domain.steps.functions.matching import words_of
from loom_common.ports.joined_tables import JoinedRow, JoinedTable
from support.clocks import ManualClock
from support.journal_tables import create_tables, stored

NAMES = ("Acme Foods Ltd", "Acme Incorporated", "Globex Ltd", "Initech Ltd", "Ltd")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryJoinedTables()
        return
    async with stored(request, tmp_path) as url:
        opened = open_joined_tables(Settings(journal=JournalSettings(url=url)))
        yield opened
        await opened.close()


def rows(names=NAMES):
    return [JoinedRow(at, f"k{at % 2}", words_of([name]), {"n": at, "name": name}) for at, name in enumerate(names, 1)]


async def held(store, name, version="v1", names=NAMES, scope="run_1", step="vendor", layout="by name"):
    await store.begin(name)
    await store.add(name, rows(names)[:2])
    await store.add(name, rows(names)[2:])
    return await store.hold(scope, step, JoinedTable(name, version, len(names)), layout)


async def test_rows_are_found_by_their_keys_in_the_order_of_the_source(store):
    table = await held(store, "a")
    found = await store.with_keys(table.name, ["k0", "k1", "k0", "other"], 2)
    assert {key: [row["n"] for row in some] for key, some in found.items()} == {"k0": [2, 4], "k1": [1, 3]}


async def test_rows_are_read_in_order_and_found_by_their_numbers(store):
    table = await held(store, "a")
    pages = [await store.page(table.name, after, 2) for after in (0, 2, 4, 5)]
    assert [[row["n"] for row in page] for page in pages] == [[1, 2], [3, 4], [5], []]
    found = await store.with_numbers(table.name, [4, 2, 9])
    assert {number: row["name"] for number, row in found.items()} == {2: NAMES[1], 4: NAMES[3]}
    assert await store.with_numbers(table.name, []) == {}


async def test_rows_are_found_by_their_words_those_that_share_rare_ones_first(store):
    table = await held(store, "a")
    texts = ("acme ltd", "INITECH, Ltd.", "nobody", "", "ltd")
    found = await store.with_words(table, [words_of([text]) for text in texts], 3)
    assert [[row["n"] for row in some] for some in found] == [[1, 2, 5], [4, 5, 3], [], [], [5, 3, 4]]


async def test_what_was_held_first_for_a_step_of_a_run_counts_for_all(store):
    assert await store.table_of("run_1", "vendor") is None
    first = await held(store, "a")
    assert await store.table_of("run_1", "vendor") == first
    assert await held(store, "b", "v2", NAMES[:3]) == first
    assert await store.with_keys("b", ["k0"], 2) == {}
    other = await held(store, "c", "v2", NAMES[:3], scope="run_2")
    assert (other.version, other.rows) == ("v2", 3)


async def test_equal_sources_are_kept_once(store):
    first = await held(store, "a")
    assert await held(store, "b", scope="run_2") == first
    assert await held(store, "c", step="other", layout="by id") == JoinedTable("c", "v1", 5)
    assert (await store.with_keys("b", ["k0"], 2), len(await store.with_keys("c", ["k0"], 2))) == ({}, 1)


async def test_what_nobody_has_read_for_thirty_days_is_dropped(tmp_path):
    path = tmp_path / "journal.db"
    await create_tables(f"sqlite:///{path}")

    async def at(days, *, look_at=()):
        clock = ManualClock()
        clock.pass_time(days * 86_400)
        store = SqlJoinedTables(sqlite_engine(path), str(path), clock)
        return store, [await store.table_of(scope, "vendor") for scope in look_at]

    store, _ = await at(0)
    kept, dropped = await held(store, "a"), await held(store, "b", "v2", NAMES[:3], scope="run_2")
    await store.begin("torn")
    await store.add("torn", rows())
    await store.close()
    later, found = await at(20, look_at=["run_1"])
    assert found == [kept]
    assert await later.with_keys("torn", ["k0"], 2) == {}
    await later.close()
    last, found = await at(40, look_at=["run_1", "run_2"])
    assert found == [kept, None]
    assert (len(await last.with_keys("a", ["k0"], 2)), await last.with_keys(dropped.name, ["k0"], 2)) == (1, {})
    await last.close()
