"""Tests the step that looks records up elsewhere: what becomes of them, what is asked, and what is remembered."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.transforms.enrich import EnrichTransformConfig, LookupCache
from loom_common.errors import DependencyUnavailable, LookupFailed, RecordError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.sql.reading.lookup import SqlLookup
from loom_transformer.lookups.memory import LookupMemory
from loom_transformer.lookups.places import LookupPlaces
from support.plans import plan_of
from support.stepping import counts, fact_of, kept, outputs, through

FIND = {
    "name": "find",
    "type": "enrich",
    "source": "sqlite:///crm.db?table=customers",
    "by": {"customer": "id"},
    "fields": {"customer_name": "name", "tier": "tier"},
}


def crm(folder, rows=((1, "Ada", "gold"), (2, "Bob", None), (3, "Cid", "new"), (3, "Cid", "old"))):
    with closing(sqlite3.connect(folder / "crm.db")) as db, db:
        db.execute("CREATE TABLE customers (id INTEGER, name TEXT, tier TEXT)")
        db.executemany("INSERT INTO customers VALUES (?, ?, ?)", rows)


def wanting(*customers):
    return [{"customer": each} for each in customers]


def changed(folder, sql):
    with closing(sqlite3.connect(folder / "crm.db")) as db, db:
        db.execute(sql)


async def test_a_record_gets_the_fields_that_are_found_whether_its_key_is_a_text_or_a_number(tmp_path):
    crm(tmp_path)
    made = await through(tmp_path, [FIND], wanting(1, "1", "2", 1.0))
    ada = {"customer_name": "Ada", "tier": "gold"}
    assert list(outputs(made).values()) == [ada, ada, {"customer_name": "Bob", "tier": None}, ada]
    assert counts(made, "seen", "failed") == {"find": (4, 0)}


async def test_what_is_not_found_once_is_kept_back_alone_and_told_without_its_value(tmp_path):
    crm(tmp_path)
    inputs = [*wanting(1, 4, None, 3, ["1"]), {"other": 1}]
    made = await through(tmp_path, [FIND], inputs)
    assert list(outputs(made)) == ["r0"]
    codes = {name: each.code for name, each in kept(made).items()}
    assert codes == {
        "r1": "not_found", "r2": "not_found", "r3": "several_found", "r4": "group_value", "r5": "missing_field"
    }  # fmt: skip
    reason = kept(made)["r1"].reason
    assert reason == "Step find: Nothing is found by the record's customer in sqlite:///crm.db"
    assert "more than one row with the record's id" in kept(made)["r3"].reason


@pytest.mark.parametrize("criticality", ["required", "optional", "critical"])
async def test_missing_says_whether_the_record_goes_on_with_nulls_or_is_left_out(tmp_path, criticality):
    crm(tmp_path)
    nulls = await through(tmp_path, [{**FIND, "missing": "null", "criticality": criticality}], wanting(4, None))
    assert list(outputs(nulls).values()) == [{"customer_name": None, "tier": None}] * 2
    left_out = await through(tmp_path, [{**FIND, "missing": "skip", "criticality": criticality}], wanting(1, 4, 2))
    assert list(outputs(left_out)) == ["r0", "r2"]
    assert {name: each.outcome for name, each in kept(left_out).items()} == {"r1": "skipped"}
    assert fact_of(left_out).header.tally.skipped == 1


async def test_a_fixed_output_takes_the_place_of_what_is_not_found_but_of_nothing_that_is_left_out(tmp_path):
    crm(tmp_path)
    fixed = {"on_failure": "fallback", "fallback": {"value": {"customer_name": "?", "tier": "none"}}}
    made = await through(tmp_path, [{**FIND, **fixed}], wanting(4))
    assert list(outputs(made).values()) == [{"customer_name": "?", "tier": "none"}]
    left_out = await through(tmp_path, [{**FIND, **fixed, "missing": "skip"}], wanting(4))
    assert (outputs(left_out), fact_of(left_out).header.tally.skipped) == ({}, 1)


async def test_a_query_is_looked_through_and_several_columns_make_a_key(tmp_path):
    crm(tmp_path)
    query = "SELECT id, name AS who, tier FROM customers WHERE tier IS NOT NULL"
    step = {**FIND, "source": "sqlite:///crm.db", "query": query, "by": ["who", "tier"], "fields": ["id"]}
    inputs = [{"who": "Cid", "tier": "old"}, {"who": "Cid", "tier": "new"}, {"who": "Ada", "tier": "old"}]
    assert [each["id"] for each in outputs(await through(tmp_path, [step], inputs)).values()] == [3, 3]


async def test_what_a_later_step_reads_was_found_and_one_that_a_declared_type_does_not_fit_is_kept_back(tmp_path):
    crm(tmp_path)
    golden = {"name": "golden", "type": "filter", "where": "tier == 'gold'", "needs": "find"}
    typed = {**FIND, "output": {"customer_name": "string", "tier": {"enum": ["gold", "silver"]}}}
    made = await through(tmp_path, [typed, golden], wanting(1, 2))
    assert (list(outputs(made)), list(kept(made))) == (["r0"], ["r1"])


class Statements:
    """Counts the statements of lookups."""

    def __init__(self, monkeypatch):
        self.keys = []
        ask = SqlLookup._rows

        async def counting(lookup, session, shape, keys):
            self.keys.append(len(keys))
            return await ask(lookup, session, shape, keys)

        monkeypatch.setattr(SqlLookup, "_rows", counting)


class Worker:
    """Looks keys up as a worker does, with a clock of its own."""

    def __init__(self, folder, clock=None, **keys):
        step = {key: value for key, value in {**FIND, **keys}.items() if key != "name"}
        self.config = EnrichTransformConfig.model_validate(step)
        self.plan = plan_of(step)
        self.places = LookupPlaces(folder, (folder,), Credentials(), clock=clock)

    async def find(self, *keys):
        return await self.places.find(self.plan, self.config, [(key,) for key in keys])


async def test_the_keys_of_a_batch_are_asked_in_one_statement_and_remembered(tmp_path, monkeypatch):
    crm(tmp_path)
    statements, worker = Statements(monkeypatch), Worker(tmp_path)
    found = await worker.find(1, 2, 1, 9)
    assert [each and each["customer_name"] for each in found] == ["Ada", "Bob", "Ada", None]
    await worker.find(1, 9, 5)
    assert statements.keys == [3, 1]
    told = {each.labels["answer"]: each.value for each in await worker.places.readings()}
    assert told == {"found": 2, "missing": 2, "remembered": 2}


async def test_what_is_remembered_ends_with_its_time_and_errors_are_asked_again(tmp_path, monkeypatch):
    class Clock:
        now = 0.0

        def monotonic(self):
            return self.now

    crm(tmp_path)
    statements, clock = Statements(monkeypatch), Clock()
    worker = Worker(tmp_path, clock, cache={"ttl": "30s"})
    await worker.find(1, 3)
    changed(tmp_path, "UPDATE customers SET name = 'Eve' WHERE id = 1")
    clock.now = 29.0
    assert (await worker.find(1))[0]["customer_name"] == "Ada"
    assert isinstance((await worker.find(3))[0], RecordError)
    clock.now = 31.0
    assert (await worker.find(1))[0]["customer_name"] == "Eve"
    assert statements.keys == [2, 1, 1]


def test_memory_is_bounded_in_number_and_in_size(monkeypatch):
    memory = LookupMemory(LookupCache(entries=2), lambda: 0.0)
    for key in (1, 2, 3):
        memory.put((key,), {"n": key})
    assert [memory.get((key,)) for key in (1, 3, "3")] == [None, ({"n": 3},), None]
    assert len(memory) == 2
    large = LookupMemory(LookupCache(entries=100), lambda: 0.0)
    for key in range(5):
        large.put((key,), {"text": "x" * 20_000_000})
    assert len(large) == 3
    assert large.get((4,)) is not None
    large.put((5,), {"text": "x" * 80_000_000})
    assert large.get((5,)) is None
    none = LookupMemory(LookupCache(entries=0), lambda: 0.0)
    none.put((1,), None)
    assert none.get((1,)) is None


async def test_a_key_that_very_many_rows_have_is_told_and_its_neighbours_are_found(tmp_path):
    crm(tmp_path, [(7, "Many", None)] * 500 + [(1, "Ada", "gold"), (2, "Bob", None)])
    many, ada, bob = await Worker(tmp_path).find(7, 1, 2)
    assert isinstance(many, RecordError)
    assert (ada["customer_name"], bob["customer_name"]) == ("Ada", "Bob")


async def test_the_database_decides_whether_keys_are_equal(tmp_path):
    with closing(sqlite3.connect(tmp_path / "crm.db")) as db, db:
        db.execute("CREATE TABLE customers (id TEXT COLLATE NOCASE, name TEXT, tier TEXT)")
        db.executemany("INSERT INTO customers VALUES (?, ?, NULL)", [("ada", "Ada"), ("007", "Bond"), ("7", "Seven")])
    found = await Worker(tmp_path).find("ADA", "ada", "Ada", "007", "7", "BOB", 7)
    assert [each and each["customer_name"] for each in found] == ["Ada", "Ada", "Ada", "Bond", "Seven", None, "Seven"]


async def test_a_table_or_a_column_that_is_not_there_fails_the_run_and_a_file_that_is_locked_is_waited_for(tmp_path):
    crm(tmp_path)
    for keys in ({"by": {"customer": "ident"}}, {"fields": ["nam"]}, {"source": "sqlite:///crm.db?table=clients"}):
        with pytest.raises(LookupFailed, match=r"ident|name|clients"):
            await Worker(tmp_path, **keys).find(1)
    with pytest.raises(LookupFailed, match="Put the file there"):
        await Worker(tmp_path, source="sqlite:///none.db?table=customers").find(1)
    worker = Worker(tmp_path, options={"timeouts": {"connect": 0.01}})
    with closing(sqlite3.connect(tmp_path / "crm.db", isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DependencyUnavailable):
            await worker.find(1)
        db.execute("ROLLBACK")
    assert (await worker.find(1))[0]["customer_name"] == "Ada"


def test_a_location_that_is_no_sql_system_is_refused(tmp_path):
    from loom_common.errors import InvalidDefinition
    from loom_connectors.lookups.opening import open_lookup

    context = ConnectorContext(tmp_path, Credentials())
    for source, expected in {
        "customers.csv": "the URL of a SQL system",
        "postgresq://h/d?table=t": "postgresql",
    }.items():
        config = EnrichTransformConfig.model_validate({**Worker(tmp_path).config.model_dump(), "source": source})
        with pytest.raises(InvalidDefinition, match=expected):
            open_lookup(config, context)
