"""Translates statements of Transact-SQL into those of Postgres, as far as Loom's connector and its tests write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp

_NAMES = (
    (r"\bCONVERT\(", "LOOM_CONVERT("),
    (r"\bHASHBYTES\(", "LOOM_HASH("),
    (r"\bSYSDATETIMEOFFSET\(\)", "NOW()"),
    (r"\bREAL\b", "FLOAT(24)"),
)
"""Words that sqlglot would translate in a way of its own."""
_PARAMETER = re.compile(r"__LOOM_(p\d+)__")
_TYPES = {
    exp.DataType.Type.BIT: "BOOLEAN",
    exp.DataType.Type.TINYINT: "SMALLINT",
    exp.DataType.Type.UTINYINT: "SMALLINT",
    exp.DataType.Type.FLOAT: "DOUBLE PRECISION",
    exp.DataType.Type.DOUBLE: "DOUBLE PRECISION",
    exp.DataType.Type.VARBINARY: "BYTEA",
    exp.DataType.Type.MONEY: "NUMERIC(19,4)",
    exp.DataType.Type.UUID: "UUID",
}
_TEXTS = (exp.DataType.Type.NVARCHAR, exp.DataType.Type.VARCHAR)
_TIMES = {
    exp.DataType.Type.DATETIME2: "TIMESTAMP",
    exp.DataType.Type.DATETIME: "TIMESTAMP",
    exp.DataType.Type.TIMESTAMP: "TIMESTAMP",
    exp.DataType.Type.TIMESTAMPTZ: "TIMESTAMPTZ",
    exp.DataType.Type.TIME: "TIME",
}
_LOCKS = "HOLDLOCK"


@dataclass(frozen=True, slots=True)
class Translated:
    """Represents a statement of Postgres."""

    sql: str
    locked: tuple[str, ...]
    """Names the tables that it locks before: hints reach over rows that are not there, which Postgres locks only with
    the whole table."""

    def filled(self, values: Mapping[str, object]) -> str:
        """Return the statement with its values."""
        return _PARAMETER.sub(lambda found: literal(values[f"@{found[1]}"]), self.sql)


@lru_cache(maxsize=500)
def translated(sql: str) -> tuple[Translated, ...]:
    """Return the statements of a batch. Raises `sqlglot.errors.SqlglotError`."""
    for name, other in _NAMES:
        sql = re.sub(name, other, sql, flags=re.IGNORECASE)
    found = []
    for each in sqlglot.parse(sql, read="tsql"):
        if each is not None:
            locked = tuple(dict.fromkeys(_locked(each)))
            found.append(Translated(_changed(each).sql("postgres"), locked))
    return tuple(found)


def literal(value: object) -> str:
    """Write a value as it stands in a statement of Postgres."""
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case int():
            return str(value)
        case float():
            return f"'{value!r}'::double precision"
        case bytes():
            return f"'\\x{value.hex()}'::bytea"
        case _:
            return "'" + str(value).replace("'", "''") + "'::text"


def _locked(statement: Any) -> list[str]:
    """Return the tables with a hint that keeps others from inserting rows."""
    found = []
    for table in statement.find_all(exp.Table):
        if any(_LOCKS in hint.sql("tsql").upper() for hint in table.args.get("hints") or ()):
            plain = exp.Table(this=table.this.copy(), db=table.args.get("db"))
            found.append(_changed(plain).sql("postgres"))
    return found


def _changed(node: Any) -> Any:
    """Return what stands in the place of a statement, or of a part of it: first of its parts, then of itself."""
    for part in list(node.iter_expressions()):
        changed = _changed(part)
        if changed is not part:
            part.replace(changed)
    change = _CHANGES.get(type(node))
    return change(node) if change else node


def _parameter(node: Any) -> Any:
    return exp.Var(this=f"__LOOM_{node.name}__")


def _table(node: Any) -> Any:
    """Return the table without its hints and without the usual schema; rows of JSON are a query."""
    if isinstance(node.this, exp.Subquery):
        rows = node.this
        rows.set("alias", node.args.get("alias") or rows.args["alias"])
        return rows
    node.set("hints", None)
    if node.db.lower() == "dbo":
        node.set("db", None)
    return node


def _type(kind: Any) -> Any:
    if kind.this is exp.DataType.Type.FLOAT and kind.expressions:
        return exp.DataType.build("REAL", dialect="postgres", udt=True)
    if kind.this in _TYPES:
        return exp.DataType.build(_TYPES[kind.this], dialect="postgres", udt=True)
    sizes = [each.name.upper() for each in kind.expressions]
    if kind.this in _TEXTS:
        limited = sizes and sizes[0] != "MAX"
        return exp.DataType.build(f"VARCHAR({sizes[0]})" if limited else "TEXT", dialect="postgres")
    if kind.this in _TIMES:
        digits = min(int(sizes[0]), 6) if sizes else 3 if kind.this is exp.DataType.Type.DATETIME else 6
        return exp.DataType.build(f"{_TIMES[kind.this]}({digits})", dialect="postgres", udt=True)
    return kind


def _function(node: Any) -> Any:
    match node.name.upper():
        case "LOOM_HASH":
            return exp.Anonymous(this="sys.hash", expressions=node.expressions)
        case "LOOM_CONVERT":
            to, value, *style = node.expressions
            if to.name.upper().startswith("VARBINARY"):
                return exp.Anonymous(this="decode", expressions=[value, exp.Literal.string("hex")])
            return exp.Anonymous(this="sys.shown", expressions=[value, style[0] if style else exp.Literal.number(0)])
        case _:
            return node


def _cast(node: Any) -> Any:
    is_binary = "BYTEA" in node.to.sql("postgres")
    return exp.Anonymous(this="sys.bytes", expressions=[node.this]) if is_binary else node


def _sum(node: Any) -> Any:
    texts = any(each.is_string or isinstance(each, exp.DPipe) for each in (node.this, node.expression))
    return exp.DPipe(this=node.this, expression=node.expression) if texts else node


def _collation(named: Any) -> Any:
    """Return the collation of Postgres that compares characters, or the usual one."""
    name = "C" if named.sql("tsql").upper().endswith("BIN2") else "default"
    return exp.to_identifier(name, quoted=True)


def _altered(node: Any) -> Any:
    """Return the change of a column's type, which says nothing of NULL."""
    if node.args.get("collate"):
        node.set("collate", _collation(node.args["collate"]))
    return node


def _constraint(node: Any) -> Any:
    for ordered in list(node.find_all(exp.Ordered)):
        ordered.replace(ordered.this)
    return node


def _rows_of_json(node: Any) -> Any:
    columns = []
    for each in node.expressions:
        path = each.args["path"].name
        at = "#>> '{}'" if path == "$" else f"->> {path[2:-1]}"
        kind, name = each.args["kind"].sql("postgres"), exp.to_identifier(each.name, quoted=True).sql("postgres")
        columns.append(f"CAST(j.value {at} AS {kind}) AS {name}")
    given = node.this.sql("postgres")
    sql = f"SELECT {', '.join(columns)} FROM JSON_ARRAY_ELEMENTS(CAST({given} AS JSON)) AS j(value)"  # noqa: S608
    name = exp.TableAlias(this=exp.to_identifier("loom_given"))
    return exp.Subquery(this=sqlglot.parse_one(sql, read="postgres"), alias=name)


_CHANGES: dict[type, Callable[[Any], Any]] = {
    exp.Parameter: _parameter,
    exp.Table: _table,
    exp.OpenJSON: _rows_of_json,
    exp.DataType: _type,
    exp.Anonymous: _function,
    exp.Cast: _cast,
    exp.Add: _sum,
    exp.National: lambda node: exp.Literal.string(node.this),
    exp.Collate: lambda node: exp.Collate(this=node.this, expression=_collation(node.expression)),
    exp.CollateColumnConstraint: lambda node: exp.CollateColumnConstraint(this=_collation(node.this)),
    exp.AlterColumn: _altered,
    exp.PrimaryKey: _constraint,
    exp.UniqueColumnConstraint: _constraint,
}
"""Says by the kind of a part of a statement what stands in its place."""
