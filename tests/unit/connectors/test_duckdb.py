"""Tests what is peculiar to DuckDB: a file that one process may write, transactions without savepoints, its types."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from contextlib import closing

import duckdb
import pytest

from loom_common.allowed_paths import AllowedPaths
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import ConfigurationError, DependencyUnavailable, DestinationError, SourceError, Timeout
from loom_connectors.duckdb.file import DuckdbFile
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadResult
from loom_connectors.registry import open_destination, open_source
from loom_connectors.sql.parameters import Timeouts
from support.load_batches import batch

HOLDER = """
import duckdb, sys, time
until = time.monotonic() + 60
while True:
    try:
        db = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reads")
        break
    except duckdb.IOException:
        assert time.monotonic() < until
        time.sleep(0.01)
print("open", flush=True)
sys.stdin.readline()
"""


def destination(folder, place="duckdb:///x.duckdb?table=t", *, schema=None, sample=False, **load):
    context = ConnectorContext(folder, Credentials({}), output_schema=schema, sample=sample)
    return open_destination(LoadConfig(destination=place, **load), context)


def source(folder, place="duckdb:///x.duckdb?table=t", **extract):
    return open_source(ExtractConfig(source=place, **extract), ConnectorContext(folder, Credentials({})))


def run_sql(folder, *statements):
    with closing(duckdb.connect(folder / "x.duckdb")) as db:
        for statement in statements:
            rows = db.execute(statement).fetchall()
        return rows


async def test_a_view_whose_rows_would_be_replaced_is_refused_by_name(tmp_path):
    run_sql(tmp_path, "CREATE TABLE kept (id INTEGER)", "CREATE VIEW t AS SELECT id FROM kept")
    opened = destination(tmp_path, mode="replace")
    for attempt in (opened.check(), opened.load(batch({"id": 1}))):
        with pytest.raises(DestinationError, match="t is a view"):
            await attempt
    await opened.close()


@pytest.fixture
def holder(tmp_path):
    """Opens the file in another process, which closes it when it is told to."""
    run_sql(tmp_path, "CREATE TABLE IF NOT EXISTS t (id INTEGER)", "INSERT INTO t VALUES (1)")
    held = []

    def hold(how):
        command = [sys.executable, "-c", HOLDER, str(tmp_path / "x.duckdb"), how]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        held.append(process)
        assert process.stdout.readline() == "open\n"
        return process

    yield hold
    for process in held:
        with process:  # closes its pipes, at which it ends
            assert process.stdin is not None


@pytest.mark.parametrize("how", ["reads", "writes"])
async def test_a_file_that_another_process_has_open_is_named_with_the_process(tmp_path, holder, how):
    process = holder(how)
    opened = destination(tmp_path, options={"timeouts": {"connect": 0.2}})
    with pytest.raises(DependencyUnavailable) as raised:
        await opened.load(batch({"id": 2}))
    assert "x.duckdb on " in str(raised.value)
    assert f"PID {process.pid}" in str(raised.value)
    assert "One process at a time may write a DuckDB file" in str(raised.value)
    await opened.close()


async def test_a_load_waits_until_the_file_is_free(tmp_path, holder):
    process = holder("reads")
    opened = destination(tmp_path, options={"timeouts": {"connect": 20}})
    loading = asyncio.create_task(opened.load(batch({"id": 2})))
    done, _ = await asyncio.wait([loading], timeout=0.1)
    assert not done
    process.stdin.write("close\n")
    process.stdin.flush()
    assert await loading == LoadResult(1)
    await opened.close()


async def test_two_processes_read_a_file_at_the_same_time(tmp_path, holder):
    holder("reads")
    opened = source(tmp_path)
    page = await opened.read(None, 10)
    assert [record.data for record in page.records] == [{"id": 1}]
    await opened.close()


async def test_an_idle_file_is_closed_so_that_another_process_may_write_it(tmp_path, holder):
    opened = destination(tmp_path)
    await opened.load(batch({"id": 2}))
    (await asyncio.to_thread(holder, "writes")).communicate("close\n")
    assert await opened.load(batch({"id": 3}, name="c")) == LoadResult(1)
    await opened.close()


async def test_of_those_in_a_process_who_write_a_file_one_writes_at_a_time(tmp_path):
    one, other = (
        DuckdbFile(tmp_path / "x.duckdb", DestinationError, Timeouts(), AllowedPaths.of(tmp_path)) for _ in range(2)
    )
    wrote = threading.Event()

    def write() -> None:
        with other.lent(10, writes=True) as db:
            db.execute("INSERT INTO t VALUES (2)")
        wrote.set()

    with one.lent(10, writes=True) as db:
        db.execute("CREATE TABLE t (n BIGINT)")
        writer = threading.Thread(target=write)
        writer.start()
        assert not wrote.wait(0.3)
    writer.join(10)
    assert wrote.is_set()
    one.close()
    other.close()


async def test_a_table_is_loaded_from_another_table_of_the_same_file(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t AS SELECT range AS id FROM range(50)")
    reading, writing = source(tmp_path), destination(tmp_path, "duckdb://x.duckdb?table=u")
    cursor = None
    for at in range(5):
        page = await reading.read(cursor, 10)
        cursor = page.cursor
        await writing.load(batch(*(record.data for record in page.records), name=f"b{at}"))
    await reading.close()
    await writing.close()
    assert run_sql(tmp_path, "SELECT count(*), sum(id) FROM u") == [(50, 1225)]


async def test_a_row_that_breaks_a_transaction_fails_alone_though_there_are_no_savepoints(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t (id INTEGER PRIMARY KEY, n DECIMAL(6,2), t TIMESTAMP)")
    opened = destination(tmp_path)
    rows = [{"id": at, "n": "1.50", "t": "2024-01-01T00:00:00"} for at in range(20)]
    rows[3] |= {"n": "1.505"}
    rows[9] |= {"id": 8}
    rows[11] |= {"t": "2024-01-01T10:00:00+02:00"}
    rows[15] |= {"n": "12345678"}
    result = await opened.load(batch(*rows))
    await opened.close()
    assert [(row.record_id, row.code) for row in result.failed] == [
        ("r3", "type"),
        ("r9", "constraint"),
        ("r11", "type"),
        ("r15", "type"),
    ]
    assert "more digits after the point" in result.failed[0].reason
    assert run_sql(tmp_path, "SELECT count(*) FROM t") == [(16,)]
    assert run_sql(tmp_path, "SELECT loaded FROM loom_load_ledger") == [(16,)]


@pytest.mark.parametrize(
    ("kind", "value", "word"),
    [
        ("INTEGER", "1.5", "no whole number"),
        ("INTEGER", 1.5, "no whole number"),
        ("DOUBLE", 2**53 + 1, "would become"),
        ("FLOAT", "0.123456789", "32-bit"),
        ("DATE", "2024-01-01T10:00", "time"),
        ("TIMESTAMP_S", "2024-01-01T10:00:00.5", "digits of a second"),
        ("TIMESTAMP", "2024-01-01T10:00:00.1234567", "digits of a second"),
        ("INTERVAL", "PT0.1234567S", "digits of a second"),
        ("BLOB", "text", "BLOB"),
        ("BIT", 101, "BIT"),
        ("INTEGER[]", 5, "list"),
        ("DECIMAL(4,1)[]", ["1.55"], "digits after the point"),
        ("STRUCT(a INTEGER)", {"b": 1}, "no field 'b'"),
        ("MAP(VARCHAR, INTEGER)", [1], "map"),
        ("UNION(a INTEGER, b VARCHAR)", 1, "cannot be loaded"),
        ("VARCHAR", "\ud800", "surrogate"),
        ("ENUM('a', 'b')", "c", "c"),
    ],
)
async def test_what_duckdb_would_round_or_cut_is_refused(tmp_path, kind, value, word):
    run_sql(tmp_path, f"CREATE TABLE t (id INTEGER, v {kind})")
    opened = destination(tmp_path)
    result = await opened.load(batch({"id": 1, "v": value}, {"id": 2, "v": None}))
    await opened.close()
    assert (result.loaded, [row.code for row in result.failed]) == (1, ["type"])
    assert word in result.failed[0].reason


async def test_a_value_without_an_exact_form_keeps_its_record_back(tmp_path):
    run_sql(
        tmp_path,
        "CREATE TABLE t (id INTEGER, u UNION(a INTEGER, b VARCHAR), j JSON)",
        "INSERT INTO t VALUES (1, NULL, NULL), (2, 'x', NULL), (3, NULL, '{\"a\": 1, \"a\": 2}')",
    )
    opened = source(tmp_path, key="id")
    records = (await opened.read(None, 10)).records
    await opened.close()
    assert [each.error and each.error.code for each in records] == [None, "no_json_form", "duplicate_name"]
    assert "table t, id=2, column u" in str(records[1].error)


async def test_a_sample_is_written_beside_and_made_anew(tmp_path):
    for at in range(2):
        opened = destination(tmp_path, sample=True)
        await opened.load(batch({"id": at, f"c{at}": 1}))
        assert await opened.finalize("run_0123456789ab", complete=True) is True
        await opened.close()
        run_sql(tmp_path, "DROP TABLE loom_load_ledger_sample")
    assert run_sql(tmp_path, "SELECT * FROM t_sample") == [(1, 1)]


async def test_names_are_quoted_and_values_bound(tmp_path):
    name = 'a"; DROP TABLE t; --'
    opened = destination(tmp_path, mode="upsert", key=[name])
    rows = [{name: "'); DROP TABLE t; --", "$1": "{}"}, {name: "$2", "$1": "{0}"}]
    assert await opened.load(batch(*rows)) == LoadResult(2)
    await opened.close()
    opened = source(tmp_path, key=name)
    assert [each.data for each in (await opened.read(None, 10)).records] == [rows[1], rows[0]]
    await opened.close()


async def test_a_parameter_is_bound_and_a_slow_query_ends(tmp_path):
    run_sql(tmp_path, "CREATE TABLE t AS SELECT range AS id, 'x' || range AS x FROM range(10)")
    context = ConnectorContext(tmp_path, Credentials({}), params={"x": "x3' OR true --", "least": 8})
    extract = {"source": "duckdb:///x.duckdb", "key": "id"}
    opened = open_source(
        ExtractConfig(query="SELECT * FROM t WHERE x = {{ x }} OR id >= {{ least }};", **extract), context
    )
    assert [each.data["id"] for each in (await opened.read(None, 10)).records] == [8, 9]
    await opened.close()
    slow = "SELECT count(*) AS id FROM range(10000000000) a, range(1000) b"
    opened = source(tmp_path, "duckdb:///x.duckdb", query=slow, key="id", options={"timeouts": {"query": 0.2}})
    with pytest.raises(Timeout):
        await opened.read(None, 1)
    await opened.close()


async def test_what_is_no_database_of_duckdb_is_named(tmp_path):
    (tmp_path / "x.duckdb").write_text("id,text\n1,a\n" * 10)
    for opened, error in ((source(tmp_path), SourceError), (destination(tmp_path), DestinationError)):
        with pytest.raises(error, match="no DuckDB database"):
            await opened.check()
        await opened.close()
    (tmp_path / "x.duckdb").write_bytes(b"")
    opened = source(tmp_path, options={"timeouts": {"connect": 0.1}})
    with pytest.raises(SourceError, match="is empty, which is no DuckDB database"):
        await opened.check()
    await opened.close()
    opened = source(tmp_path, "duckdb:///missing.duckdb?table=t")
    with pytest.raises(SourceError, match=r"missing\.duckdb on .*: No such file"):
        await opened.check()
    with pytest.raises(ConfigurationError, match="Did you mean 'table'"):
        source(tmp_path, "duckdb:///x.duckdb?tabel=t")


def test_a_missing_driver_is_named_with_how_it_is_installed(tmp_path):
    code = (
        "import sys, pathlib; sys.modules['duckdb'] = None\n"
        "from loom_connectors.registry import open_source\n"
        "from loom_connectors.ports.context import ConnectorContext\n"
        "from loom_common.config.credentials import Credentials\n"
        "from loom_common.domain.definition.pipeline import ExtractConfig\n"
        "from loom_common.errors import ConfigurationError\n"
        "context = ConnectorContext(pathlib.Path('.'), Credentials())\n"
        "try: open_source(ExtractConfig(source='duckdb://x?table=t'), context)\n"
        "except ConfigurationError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "needs the package duckdb" in said
    assert "make extras EXTRAS=duckdb" in said
