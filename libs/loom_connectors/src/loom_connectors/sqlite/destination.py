"""SQLite as a `Destination`: a table, with a load ledger beside it."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing

from loom_common.domain.definition.pipeline import LoadConfig
from loom_common.domain.values.destination_names import sample_table, staging_table
from loom_common.errors import ConfigurationError, DestinationError
from loom_connectors.options import options_of
from loom_connectors.ports import ConnectorContext, Guarantee, LoadBatch, LoadResult
from loom_connectors.sql.columns import Kind, columns_of, kinds, lacking, unknown_everywhere
from loom_connectors.sql.load_modes import Adding
from loom_connectors.sql.parameters import SqlDestinationOptions, quoted
from loom_connectors.sql.row_outcomes import (
    FINALIZED,
    failed_as_json,
    left_out,
    result_of,
    sorted_out,
    stored_result,
    threads_of,
)
from loom_connectors.sqlite.file import SqliteFile
from loom_connectors.sqlite.tables import (
    LEDGER,
    columns_of_table,
    copy_rows,
    loaded_threads,
    make_ledger,
    make_staging,
    make_table,
    unique_keys,
    write,
)
from loom_connectors.storage.local import see_that_it_can_be_written


class SqliteDestination:
    """A table. Modes `append`, `upsert` (the default where records have a key) and `replace`."""

    def __init__(self, config: LoadConfig, surroundings: ConnectorContext) -> None:
        self._options = options_of(SqlDestinationOptions, config.options, "load")
        self._file = SqliteFile.of(config.destination, surroundings, DestinationError, self._options.timeouts)
        if self._file.table is None:
            raise ConfigurationError(
                f"load.destination: {self._file.shown} names no table; add `?table=name` at its end."
            )
        self._table = sample_table(self._file.table) if surroundings.sample else self._file.table
        self._ledger = sample_table(LEDGER) if surroundings.sample else LEDGER
        self._adding = Adding.of(config, surroundings)
        self._mode = self._adding.mode
        self._key = self._adding.key
        self._may_create = self._options.create_table or surroundings.sample
        self._anew = (
            surroundings.sample and not surroundings.adds
        )  # a sample's columns may be others than the last one's
        self._schema = surroundings.output_schema
        self._expected = list(dict.fromkeys([*config.key, *config.include, *kinds(self._schema, ())]))

    @property
    def guarantee(self) -> Guarantee:
        return Guarantee.LEDGER

    @property
    def effect(self) -> str:
        return self._adding.effect

    @property
    def stages(self) -> bool:
        return self._mode == "replace"

    @property
    def location(self) -> str:
        return f"{self._file.shown}?table={self._table}"

    async def check(self) -> None:
        await asyncio.to_thread(self._check)

    async def load(self, batch: LoadBatch) -> LoadResult:
        return await asyncio.to_thread(self._load, batch)

    async def finalize(self, run_id: str, *, complete: bool, keep: bool = False) -> bool:
        """Mode `replace` puts the run's rows in place of the old ones, in one transaction."""
        if self._mode != "replace":
            return True
        return await asyncio.to_thread(self._swap if complete else self._look, run_id, keep=keep)

    async def drop(self, run_id: str) -> bool:
        """Removes the staging table of mode `replace`, and what the ledger says of it."""
        if self._mode != "replace":
            return True
        return await asyncio.to_thread(self._drop, run_id)

    async def close(self) -> None:
        await asyncio.to_thread(self._file.close)

    def _check(self) -> None:
        see_that_it_can_be_written(self._file.path)
        columns: Mapping[str, str] = {}
        if self._file.path.exists() and not self._anew:
            with closing(self._file.opened_to_read()) as db, self._file.trouble():
                columns = self._columns(db)
        if columns and (missing := [name for name in self._expected if name not in columns]):
            raise lacking(missing, self._table, list(columns))
        if not columns and not self._may_create:
            raise self._no_table()

    def _load(self, batch: LoadBatch) -> LoadResult:
        """One transaction: the ledger's row and the batch's rows. A batch that is in the ledger was loaded before."""
        with self._file.transaction(self._options.timeouts.transaction) as db:
            make_ledger(db, self._ledger)
            key = (batch.run_id, batch.batch_id)
            stored = db.execute(f"SELECT loaded, failed FROM {self._ledger} WHERE run_id = ? AND batch_id = ?", key)
            if known := stored.fetchone():
                return stored_result(*known)
            result = self._write_new(db, batch)
            self._enter(db, *key, result)
        return result

    def _write_new(self, db: sqlite3.Connection, batch: LoadBatch) -> LoadResult:
        """Write the rows of records that are not loaded yet. What a replay loads is entered by record."""
        if batch.origin is None:
            return self._write(db, batch) if batch.rows else LoadResult(0)
        rest, threads = left_out(batch, loaded_threads(db, self._ledger, batch.origin, list(batch.threads)))
        written = self._write(db, rest) if rest.rows else LoadResult(0)
        failed = threads_of(rest, written.failed)
        if batch.is_of_a_replay:
            for thread in threads:
                if thread not in failed:
                    self._enter(db, batch.origin, thread, LoadResult(1))
        return LoadResult(len(batch.rows) - len(written.failed), written.failed)

    def _write(self, db: sqlite3.Connection, batch: LoadBatch) -> LoadResult:
        wanted = kinds(self._schema, list(dict.fromkeys([*self._key, *columns_of(batch.rows)])), batch.rows)
        columns: Mapping[str, str]
        if self._anew:
            table = staging_table(self._table, batch.run_id)
            if not columns_of_table(db, table):
                make_table(db, table, wanted, ())
            columns = columns_of_table(db, table)
        else:
            table, columns = self._table_for(db, batch, wanted)
        if missing := unknown_everywhere(batch.rows, list(columns)):
            raise lacking(missing, self._table, list(columns))
        rows, failed = sorted_out(batch.rows, list(columns), self._key)
        failed += write(db, table, columns, rows, self._key)
        return result_of(batch.rows, failed)

    def _table_for(
        self, db: sqlite3.Connection, batch: LoadBatch, wanted: Mapping[str, Kind]
    ) -> tuple[str, Mapping[str, str]]:
        """Where the batch is written, and the columns there."""
        columns = self._columns(db)
        if not columns:
            if not self._may_create:
                raise self._no_table()
            make_table(db, self._table, wanted, self._key)
            columns = self._columns(db)
        if self._mode != "replace":
            return self._table, columns
        staging = staging_table(self._table, batch.run_id)
        make_staging(db, staging, self._table)
        return staging, columns

    def _swap(self, run_id: str, *, keep: bool) -> bool:
        with self._file.transaction(self._options.timeouts.finalize) as db:
            make_ledger(db, self._ledger)
            if self._exchanged(db, run_id):
                return True
            exists = bool(columns_of_table(db, self._table))
            if keep and exists and db.execute(f"SELECT 1 FROM {quoted(self._table)} LIMIT 1").fetchone():
                self._forget(db, run_id)
                return False
            if self._anew:
                db.execute(f"DROP TABLE IF EXISTS {quoted(self._table)}")
            elif exists:
                db.execute(f"DELETE FROM {quoted(self._table)}")
            elif self._may_create and self._expected:
                make_table(db, self._table, kinds(self._schema, self._expected), ())
            staging = staging_table(self._table, run_id)
            staged = bool(columns_of_table(db, staging))
            if staged and self._anew:
                db.execute(f"ALTER TABLE {quoted(staging)} RENAME TO {quoted(self._table)}")
            elif staged:
                copy_rows(db, staging, self._table)
                db.execute(f"DROP TABLE {quoted(staging)}")
            self._enter(db, run_id, FINALIZED, LoadResult(0))
        return True

    def _look(self, run_id: str, *, keep: bool) -> bool:
        """Whether the run's rows are in the table."""
        with self._file.transaction(self._options.timeouts.finalize) as db:
            make_ledger(db, self._ledger)
            return self._exchanged(db, run_id)

    def _drop(self, run_id: str) -> bool:
        with self._file.transaction(self._options.timeouts.finalize) as db:
            make_ledger(db, self._ledger)
            if self._exchanged(db, run_id):
                return True
            self._forget(db, run_id)
        return False

    def _forget(self, db: sqlite3.Connection, run_id: str) -> None:
        db.execute(f"DROP TABLE IF EXISTS {quoted(staging_table(self._table, run_id))}")
        db.execute(f"UPDATE {self._ledger} SET loaded = 0 WHERE run_id = ?", (run_id,))

    def _exchanged(self, db: sqlite3.Connection, run_id: str) -> bool:
        sql = f"SELECT 1 FROM {self._ledger} WHERE run_id = ? AND batch_id = ?"
        return db.execute(sql, (run_id, FINALIZED)).fetchone() is not None

    def _enter(self, db: sqlite3.Connection, run_id: str, batch_id: str, result: LoadResult) -> None:
        db.execute(
            f"INSERT INTO {self._ledger} (run_id, batch_id, loaded, failed) VALUES (?, ?, ?, ?)",
            (run_id, batch_id, result.loaded, failed_as_json(result.failed)),
        )

    def _columns(self, db: sqlite3.Connection) -> dict[str, str]:
        columns = columns_of_table(db, self._table)
        if columns and self._key and not any(set(each) == set(self._key) for each in unique_keys(db, self._table)):
            names = ", ".join(map(quoted, self._key))
            index = f"CREATE UNIQUE INDEX {quoted(f'{self._table}_key')} ON {quoted(self._table)} ({names})"
            raise self._adding.no_index(self._table, index)
        return columns

    def _no_table(self) -> DestinationError:
        return DestinationError(
            f"{self._file.shown} has no table {self._table}. Make it, or let Loom: `options: {{create_table: true}}`."
        )
