"""Describes the table of a destination: whether it fits, where the rows of a batch go, and how a run replaces its
rows."""

# ruff: noqa: S608  names are quoted, values are bound
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.values.destination_names import sample_table, staging_table
from loom_common.domain.values.fields import ColumnFit
from loom_common.errors import AccessRefused, DestinationError
from loom_common.resilience import failpoints
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch
from loom_connectors.sql.column_fit import fits_of
from loom_connectors.sql.columns import Kind, kinds, lacking, unknown_everywhere
from loom_connectors.sql.dialect import TableDialect, TableSession, Target
from loom_connectors.sql.load_modes import Adding
from loom_connectors.sql.needs import needs_of
from loom_connectors.sql.table_name import TableName, check_computed


@dataclass(frozen=True, slots=True)
class Evolution:
    """Says what of a table the contract of the rows lets evolve. Without a contract, or where the next version of the
    schema is not stored, a table stays as it is."""

    columns: bool
    """Tells whether columns that the table lacks are added."""
    types: bool
    """Tells whether columns that do not take their values are widened."""

    @staticmethod
    def of(config: LoadConfig) -> Evolution:
        """Return what `load.schema` lets evolve."""
        contract = config.schema_
        if contract is None or not contract.store:
            return Evolution(columns=False, types=False)
        return Evolution(columns=contract.columns == "evolve", types=contract.types == "evolve")


@dataclass(frozen=True, slots=True)
class LoadTable:
    """Represents the table that a pipeline loads, with what the pipeline says of it."""

    dialect: TableDialect
    name: TableName
    adding: Adding
    may_create: bool
    frozen: bool
    """Tells whether it is the contract of the rows that does not let a table be made."""
    anew: bool
    """Tells whether it is a sample's: made by its rows each time, because its columns may be others than the last
    one's."""
    schema: Mapping[str, Any] | None
    """JSON Schema of the output, where the pipeline declares one."""
    expected: tuple[str, ...]
    """The columns that are known before there are rows."""
    evolution: Evolution

    @staticmethod
    def of(
        config: LoadConfig, context: ConnectorContext, name: TableName, dialect: TableDialect, *, may_create: bool
    ) -> LoadTable:
        """Make the table that `load` describes. A sample is written to a table of its own."""
        schema, adding = context.output_schema, Adding.of(config, context)
        return LoadTable(
            dialect=dialect,
            name=name.beside(sample_table(name.name)) if context.sample else name,
            adding=adding,
            may_create=context.sample or (may_create and config.makes_its_place),
            frozen=not config.makes_its_place,
            anew=context.sample and not context.adds,
            schema=schema,
            expected=tuple(dict.fromkeys([*adding.key, *config.key, *config.include, *kinds(schema, ())])),
            evolution=Evolution.of(config),
        )

    @property
    def replaces(self) -> bool:
        """Tell whether rows are staged until the run is finished."""
        return self.adding.mode == "replace"

    def staging(self, run_id: str) -> TableName:
        """Tell where the rows of a run that replaces are collected."""
        return self.name.beside(staging_table(self.name.name, run_id))

    async def check(self, session: TableSession) -> None:
        """See that the table can be loaded. Raises `AccessRefused`, `DestinationError`."""
        may = await session.rights(self.name, self.adding.mode)
        place = f"{self.dialect.shown}, table {self.name}"
        if may.read_only:
            raise AccessRefused(f"{place} is read-only (a standby, or set so). Name a server that takes writes.")
        if not may.exists and not self.may_create:
            raise self._missing()
        if not may.exists and not may.may_create:
            raise AccessRefused(f"{place}: this user may not create tables. GRANT CREATE, or make the table.")
        if not may.may_write:
            raise AccessRefused(f"{place}: this user may not write to it in mode {self.adding.mode}. GRANT it.")
        if not may.exists or self.anew:
            self.dialect.names.check_columns(self.expected, self.name)
        else:
            columns = await session.columns(self.name)
            check_computed(self.expected, await session.computed(self.name), self.name)
            missing = [name for name in self.expected if name not in columns]
            if missing and not self.evolution.columns:
                raise lacking(missing, str(self.name), list(columns))
            self.dialect.names.check_columns(missing, self.name, columns)
            if missing and not may.may_alter:
                raise AccessRefused(
                    f"{place}: it lacks the columns {', '.join(missing)}, and this user may not add them. GRANT ALTER, "
                    "let the table's owner load, or add them."
                )
            await self._see_key(session, columns)

    async def fits(self, session: TableSession) -> Sequence[ColumnFit]:
        """Compare the columns that are known before there are rows with those of the table."""
        there = {} if self.anew else await session.types(self.name)
        computed = {} if self.anew else await session.computed(self.name)
        declared = (self.schema or {}).get("properties", {})
        found = kinds(self.schema, self.expected)
        wanted = {name: found[name] if name in declared else None for name in found}
        fits = fits_of(wanted, there, self.dialect.type_of, adds=self.evolution.columns, widens=self.evolution.types)
        own = [name for name in computed if name not in there and name not in wanted]
        return [
            *(
                replace(each, done=f"{computed[each.name]}: a run is refused", fits=False)
                if each.name in wanted and each.name in computed
                else each
                for each in fits
            ),
            *(ColumnFit(name, None, computed[name], "not written", fits=True) for name in own),
        ]

    async def target(
        self, session: TableSession, batch: LoadBatch, names: Sequence[str], known: Target | None
    ) -> Target:
        """Return where the batch is written, whose rows have the columns `names`: `known`, unless some are beyond it;
        else the table as it is, created where it is missing, with columns added and widened where they may evolve.
        Raises `DestinationError` for a column that all rows have and the table has not."""
        if known is not None and known.columns.keys() >= set(names):
            return known
        wanted = kinds(self.schema, list(dict.fromkeys([*self.adding.key, *names])), batch.rows)
        found = await self._evolved(session, await self._seen(session, batch.run_id, wanted), wanted, batch)
        names_everywhere = [name for name in names if all(name in row.values for row in batch.rows)]
        check_computed(names_everywhere, await session.computed(found.table), self.name)
        if missing := unknown_everywhere(batch.rows, list(found.columns)):
            raise lacking(missing, str(self.name), list(found.columns))
        return found

    async def holds_rows(self, session: TableSession) -> bool:
        """Tell whether the table is there and not empty."""
        if not await session.columns(self.name):
            return False
        sql = f"SELECT CASE WHEN EXISTS (SELECT 1 FROM {self._sql(self.name)}) THEN 1 ELSE 0 END"
        ((holds,),) = await session.fetch(sql)
        return bool(int(holds))

    async def exchange(self, session: TableSession, run_id: str) -> None:
        """Put what the run staged in the place of all rows, in the session's transaction. The table itself stays, with
        its indexes, its rights and the keys that refer to it; a sample's is made anew."""
        staging, table = self.staging(run_id), self._sql(self.name)
        exists = bool(await session.columns(self.name))
        if self.anew:
            await session.execute(f"DROP TABLE IF EXISTS {table}")
        elif exists:
            await session.execute(f"DELETE FROM {table}")
        elif self.may_create and self.expected:
            await session.create_table(self.name, kinds(self.schema, self.expected), ())
        staged = bool(await session.columns(staging))
        if staged and self.anew:
            await session.execute(self.dialect.renamed(staging, self.name.name))
        elif staged:
            await session.copy_rows(staging, self.name)
            await self.drop_staging(session, run_id)

    async def settle(self, session: TableSession, run_id: str) -> None:
        """Finish an exchange that is in the ledger: a process may have died amid it where the system commits before it
        removes or renames a table."""
        staging = self.staging(run_id)
        if not await session.columns(staging):
            return
        if self.anew:
            await session.execute(f"DROP TABLE IF EXISTS {self._sql(self.name)}")
            await session.execute(self.dialect.renamed(staging, self.name.name))
        else:
            await self.drop_staging(session, run_id)

    async def drop_staging(self, session: TableSession, run_id: str) -> None:
        """Remove what the run staged."""
        await session.execute(f"DROP TABLE IF EXISTS {self._sql(self.staging(run_id))}")

    async def _seen(self, session: TableSession, run_id: str, wanted: Mapping[str, Kind]) -> Target:
        staging, key = self.staging(run_id), self.adding.key
        if self.anew:
            self.dialect.names.check_columns(wanted, self.name)
            await session.create_table(staging, wanted, ())
            return await self._as_target(session, staging, key)
        columns = await session.columns(self.name)
        if not columns:
            if not self.may_create:
                raise self._missing()
            self.dialect.names.check_columns(wanted, self.name)
            await session.create_table(self.name, wanted, key)
            columns = await session.columns(self.name)
        await self._see_key(session, columns)
        if not self.replaces:
            return await self._as_target(session, self.name, key)
        await session.create_like(staging, self.name)
        return await self._as_target(session, staging, key)

    async def _evolved(
        self, session: TableSession, found: Target, wanted: Mapping[str, Kind], batch: LoadBatch
    ) -> Target:
        """Add the columns that the table lacks, and widen those that do not take the values of the batch, as far as
        they may evolve. A staging table and the one that its rows are put in have the same columns."""
        added = {name: kind for name, kind in wanted.items() if name not in found.columns}
        tables = (self.name, found.table) if self.replaces and not self.anew else (found.table,)
        for table in tables:
            if added and self.evolution.columns:
                self.dialect.names.check_columns(added, self.name, found.columns)
                await session.add_columns(table, added)
            if self.evolution.types:
                await session.widen(table, needs_of(batch.rows))
        if not (self.evolution.columns or self.evolution.types):
            return found
        if added:
            await failpoints.reach("after_alter")
        return await self._as_target(session, found.table, found.key)

    async def _as_target(self, session: TableSession, table: TableName, key: tuple[str, ...]) -> Target:
        return Target(table, await session.columns(table), key, await session.types(table))

    async def _see_key(self, session: TableSession, columns: Mapping[str, str]) -> None:
        """Raise `DestinationError` where rows cannot be updated by the key."""
        key = self.adding.key
        if missing := [name for name in key if name not in columns]:
            raise lacking(missing, str(self.name), list(columns))
        if key and not await session.can_update_by(self.name, key):
            raise self.adding.no_index(str(self.name), self.dialect.unique_index(self.name, key))

    def _sql(self, table: TableName) -> str:
        return table.quoted_by(self.dialect.quoted)

    def _missing(self) -> DestinationError:
        missing = f"{self.dialect.shown} has no table {self.name}"
        if self.frozen:
            return DestinationError(
                f"{missing}, and `load.schema` lets none be made (`tables: freeze`). Make it, or let Loom: "
                "`schema: {tables: evolve}`."
            )
        return DestinationError(f"{missing}. Make it, or let Loom: `options: {{create_table: true}}`.")
