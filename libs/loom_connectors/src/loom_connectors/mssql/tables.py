"""Asks a SQL Server what a load must know, and says how what a load needs is created: columns, keys, tables, the
ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loom_connectors.mssql.server import Connection
from loom_connectors.mssql.statements import BINARY, literal, name_list, quoted
from loom_connectors.sql.columns import Kind
from loom_connectors.sql.dialect import Rights
from loom_connectors.sql.load_modes import Mode
from loom_connectors.sql.table_name import TableName

TYPES = {
    Kind.TEXT: "NVARCHAR(MAX)",
    Kind.INTEGER: "BIGINT",
    Kind.NUMBER: "FLOAT",
    Kind.BOOLEAN: "BIT",
    Kind.JSON: "NVARCHAR(MAX)",
    Kind.BIG_INTEGER: "DECIMAL(38,0)",
    Kind.BYTES: "VARBINARY(MAX)",
    Kind.VECTOR: "NVARCHAR(MAX)",
    Kind.ANY: "NVARCHAR(MAX)",
}
_KEY_TYPES = {"NVARCHAR(MAX)": "NVARCHAR(450)", "VARBINARY(MAX)": "VARBINARY(900)"}
"""Types of key columns, because an index takes 900 bytes."""
_JSON = (Kind.JSON, Kind.VECTOR, Kind.ANY)
_PERMISSIONS = {"append": ("INSERT",), "upsert": ("INSERT", "UPDATE"), "replace": ("INSERT", "DELETE", "SELECT")}
_WIDE = ("nvarchar", "nchar")
_SIZED = (*_WIDE, "varchar", "char", "varbinary", "binary")
_SCALED = ("datetime2", "datetimeoffset", "time")


@dataclass(frozen=True, slots=True)
class Column:
    """Describes a column of a table."""

    name: str
    type: str
    collation: str | None
    nullable: bool
    filled_in: str | None
    """Says how the database fills it in, where nobody else can."""
    is_json: bool

    @property
    def declared(self) -> str:
        """Return the type by which its values are written."""
        if self.is_json:
            return f"json COLLATE {self.collation}" if self.collation else "json"
        return f"{self.type} COLLATE {self.collation}" if self.collation else self.type


def columns_of_table(connection: Connection, table: TableName) -> list[Column]:
    """Return the columns in their order. Empty where there is no table."""
    rows = connection.fetched(
        "SELECT c.name, t.name AS type_name, c.max_length, c.precision, c.scale, c.collation_name, c.is_nullable, "
        "c.is_identity, c.is_computed, c.generated_always_type, (SELECT COUNT(*) FROM sys.check_constraints AS k "
        "WHERE k.parent_object_id = c.object_id AND k.parent_column_id = c.column_id "
        "AND LOWER(k.definition) LIKE '%isjson(%') AS json_checks "
        "FROM sys.columns AS c LEFT JOIN sys.types AS t ON t.user_type_id = c.system_type_id "
        "WHERE c.object_id = OBJECT_ID(@p1) ORDER BY c.column_id",
        [sql_name(table)],
    )
    return [
        Column(
            name=str(name),
            type=_type(kind, length, precision, scale),
            collation=str(collation) if collation else None,
            nullable=bool(nullable),
            filled_in=_filled_in(kind, identity=bool(identity), computed=bool(computed), generated=bool(generated)),
            is_json=kind == "json" or bool(checks),
        )
        for name, kind, length, precision, scale, collation, nullable, identity, computed, generated, checks in rows
    ]


def _type(kind: str | None, length: int, precision: int, scale: int) -> str:
    if kind in _SIZED:
        size = "max" if length < 0 else str(length // 2 if kind in _WIDE else length)
        return f"{kind}({size})"
    if kind in ("decimal", "numeric"):
        return f"{kind}({precision},{scale})"
    return f"{kind}({scale})" if kind in _SCALED else kind or "a type of the CLR"


def _filled_in(kind: str | None, *, identity: bool, computed: bool, generated: bool) -> str | None:
    if identity:
        return "an identity column"
    if computed:
        return "a computed column"
    return "a generated column" if generated or kind == "timestamp" else None


def unique_keys(connection: Connection, table: TableName) -> list[tuple[tuple[str, ...], bool]]:
    """Return the columns of the primary key, which comes first, and of each unique index over all rows, each with
    whether one of them may be NULL."""
    rows = connection.fetched(
        "SELECT i.index_id, c.name, c.is_nullable FROM sys.indexes AS i "
        "JOIN sys.index_columns AS x ON x.object_id = i.object_id AND x.index_id = i.index_id "
        "JOIN sys.columns AS c ON c.object_id = x.object_id AND c.column_id = x.column_id "
        "WHERE i.object_id = OBJECT_ID(@p1) AND i.is_unique = 1 AND i.has_filter = 0 AND i.is_disabled = 0 "
        "AND x.is_included_column = 0 ORDER BY i.is_primary_key DESC, i.index_id, x.key_ordinal",
        [sql_name(table)],
    )
    found: dict[int, list[tuple[str, bool]]] = {}
    for index, name, nullable in rows:
        found.setdefault(int(index), []).append((str(name), bool(nullable)))
    return [(tuple(name for name, _ in parts), any(null for _, null in parts)) for parts in found.values()]


def rights(connection: Connection, table: TableName, mode: Mode) -> Rights:
    """Return what the user may do with the table."""
    wanted = (*_PERMISSIONS[mode], "ALTER")
    asked = ", ".join(f"HAS_PERMS_BY_NAME(@p1, 'OBJECT', '{each}')" for each in wanted)
    ((there, updates, creates, *may),) = connection.fetched(
        "SELECT OBJECT_ID(@p1), CAST(DATABASEPROPERTYEX(DB_NAME(), 'Updateability') AS NVARCHAR(20)), "
        f"HAS_PERMS_BY_NAME(DB_NAME(), 'DATABASE', 'CREATE TABLE'), {asked}",
        [sql_name(table)],
    )
    exists = there is not None
    return Rights(
        read_only=updates == "READ_ONLY",
        exists=exists,
        may_write=not exists or all(may[:-1]),
        may_create=bool(creates),
        may_alter=not exists or bool(may[-1]),
    )


def ledger_sql(ledger: TableName) -> str:
    """Return the statement that creates the load ledger where it is missing."""
    text = f"NVARCHAR(200) COLLATE {BINARY} NOT NULL"
    return where_missing(
        ledger,
        f"CREATE TABLE {sql_name(ledger)} ([run_id] {text}, [batch_id] {text}, [loaded] BIGINT NOT NULL, "
        "[failed] NVARCHAR(MAX) NOT NULL, [loaded_at] DATETIMEOFFSET(6) NOT NULL DEFAULT SYSDATETIMEOFFSET(), "
        "PRIMARY KEY ([run_id], [batch_id]))",
    )


def type_of(kind: Kind, *, in_key: bool) -> str:
    """Return the type that a column of a kind gets."""
    return _KEY_TYPES.get(TYPES[kind], TYPES[kind]) if in_key else TYPES[kind]


def column_sql(name: str, kind: Kind, *, in_key: bool = False) -> str:
    """Return the column of a new table. JSON is a text that the table checks to be JSON; a value that is no object and
    no list is checked within a list, because older servers take it for no JSON."""
    found = type_of(kind, in_key=in_key)
    collation = f" COLLATE {BINARY}" if found.startswith("NVARCHAR") else ""
    check = f" CHECK (ISJSON(N'[' + {quoted(name)} + N']') = 1)" if kind in _JSON else ""
    return f"{quoted(name)} {found}{collation}{' NOT NULL' if in_key else ' NULL'}{check}"


def table_sql(table: TableName, kinds: Mapping[str, Kind], key: Sequence[str]) -> str:
    """Return the statement that creates the table where it is missing. Its texts are compared by their characters."""
    columns = [column_sql(name, kind, in_key=name in key) for name, kind in kinds.items()]
    primary = [f"PRIMARY KEY ({name_list(key)})"] if key else []
    return where_missing(table, f"CREATE TABLE {sql_name(table)} ({', '.join([*columns, *primary])})")


def like_sql(connection: Connection, staging: TableName, table: TableName) -> str:
    """Return the statement that creates an empty table with the columns, keys and checks of `table`. What the database
    fills in is left out."""
    columns = [each for each in columns_of_table(connection, table) if each.filled_in is None]
    parts = [
        f"{quoted(each.name)} {each.type}{f' COLLATE {each.collation}' if each.collation else ''} "
        f"{'NULL' if each.nullable else 'NOT NULL'}"
        for each in columns
    ]
    names = {each.name for each in columns}
    parts += [f"UNIQUE ({name_list(key)})" for key, _ in unique_keys(connection, table) if names.issuperset(key)]
    checks = connection.fetched(
        "SELECT k.definition FROM sys.check_constraints AS k WHERE k.parent_object_id = OBJECT_ID(@p1)",
        [sql_name(table)],
    )
    parts += [f"CHECK {definition}" for (definition,) in checks]
    return where_missing(staging, f"CREATE TABLE {sql_name(staging)} ({', '.join(parts)})")


def where_missing(table: TableName, sql: str) -> str:
    """Return a statement that is run where the table is not there."""
    return f"IF OBJECT_ID({literal(sql_name(table))}) IS NULL {sql}"


def sql_name(table: TableName) -> str:
    """Return the name of a table within a statement, and within the text of one."""
    return table.quoted_by(quoted)
