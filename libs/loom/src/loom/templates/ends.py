"""Describes each end of a pipeline that a template may have: the connectors that Loom brings, as a source and as a
destination, each once. A template for a pair is made of two of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

CUSTOMERS: Sequence[Mapping[str, str | int]] = (
    {"id": "c1", "name": "Ada", "city": "London", "orders": 3},
    {"id": "c2", "name": "Grace", "city": "New York", "orders": 5},
    {"id": "c3", "name": "Søren", "city": "København", "orders": 0},
)
"""Holds the records that a new pipeline begins with."""
_COLUMNS = ("id", "name", "city", "orders")

Sample = Callable[[Path], None]
"""Writes a source's sample below the folder of the pipeline."""


@dataclass(frozen=True, slots=True)
class End:
    """Describes a connector as the source or the destination of a new pipeline."""

    name: str
    what: str
    """Names it in words: `a CSV file`."""
    source: str | None = None
    """The location that records are read from; None where it is no source."""
    destination: str | None = None
    """The location that rows go to; None where it is no destination."""
    sample: Sample | None = None
    """Is None where the records are elsewhere, or where nothing here can write such a file."""
    variables: Sequence[str] = ()
    """The environment variables that its location refers to."""
    extra: str | None = None
    """The extra of Loom that it needs."""
    upserts: bool = False
    """Tells whether rows with the same key can replace each other."""


def _text(suffix: str, content: str) -> Sample:
    def write(folder: Path) -> None:
        file = folder / f"data/customers.{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")

    return write


def _separated(mark: str) -> str:
    lines = [_COLUMNS, *(tuple(str(row[each]) for each in _COLUMNS) for row in CUSTOMERS)]
    return "".join(f"{mark.join(line)}\n" for line in lines)


def _toml() -> str:
    tables = (
        "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in row.items())
        for row in CUSTOMERS
    )
    return "\n".join(f"[[customers]]\n{table}" for table in tables)


def _yaml() -> str:
    return "".join(f"- {json.dumps(dict(row), ensure_ascii=False)}\n" for row in CUSTOMERS)


def _sqlite(folder: Path) -> None:
    (folder / "data").mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "data/customers.db")) as database, database:
        database.execute("CREATE TABLE customers (id TEXT PRIMARY KEY, name TEXT, city TEXT, orders INTEGER)")
        database.executemany("INSERT INTO customers VALUES (:id, :name, :city, :orders)", CUSTOMERS)


def _server(name: str) -> str:
    return f"${{{name}_USER}}:${{{name}_PASSWORD}}@${{{name}_HOST}}"


def _variables(name: str) -> tuple[str, str, str]:
    return f"{name}_USER", f"{name}_PASSWORD", f"{name}_HOST"


def _file(name: str, what: str, suffix: str, sample: Sample | None, *, written: bool, extra: str | None = None) -> End:
    destination = f"results/customers.{suffix}" if written else None
    return End(name, what, f"data/customers.{suffix}", destination, sample, extra=extra)


def _bucket(name: str, what: str, scheme: str, variables: Sequence[str], query: str) -> End:
    place = f"{scheme}://my-bucket/"
    return End(
        name,
        what,
        f"{place}customers/*.csv{query}",
        f"{place}results/customers.csv{query}",
        variables=variables,
        extra="objects",
    )


ENDS: Mapping[str, End] = {
    end.name: end
    for end in (
        _file("csv", "a CSV file", "csv", _text("csv", _separated(",")), written=True),
        _file("tsv", "a TSV file", "tsv", _text("tsv", _separated("\t")), written=True),
        _file("json", "a JSON file", "json", _text("json", json.dumps(list(CUSTOMERS), indent=1)), written=True),
        _file(
            "jsonl", "a JSON Lines file", "jsonl",
            _text("jsonl", "".join(f"{json.dumps(row)}\n" for row in CUSTOMERS)), written=True,
        ),
        _file("parquet", "a Parquet file", "parquet", None, written=True, extra="arrow"),
        _file("arrow", "an Arrow file", "arrow", None, written=True, extra="arrow"),
        _file("excel", "an Excel workbook", "xlsx", None, written=True, extra="excel"),
        _file("yaml", "a YAML file", "yaml", _text("yaml", _yaml()), written=False),
        _file("toml", "a TOML file", "toml", _text("toml", _toml()), written=False),
        End("http", "a file of a web server", "https://example.com/customers.csv"),
        _bucket(
            "s3", "files in an S3 bucket", "s3", ("S3_KEY", "S3_SECRET"),
            "?access_key_id=${S3_KEY}&secret_access_key=${S3_SECRET}",
        ),
        _bucket(
            "gcs", "files in a bucket of Google Cloud Storage", "gs", (),
            "",
        ),
        _bucket(
            "azure", "files in a container of Azure Blob Storage", "az", ("AZURE_ACCOUNT", "AZURE_KEY"),
            "?account=${AZURE_ACCOUNT}&account_key=${AZURE_KEY}",
        ),
        End(
            "rabbitmq", "messages of RabbitMQ", f"amqp://{_server('RABBITMQ')}/?queue=customers",
            f"amqp://{_server('RABBITMQ')}/?exchange=customers", variables=_variables("RABBITMQ"),
        ),
        End(
            "sqlite", "a table of a SQLite file", "sqlite:///data/customers.db?table=customers",
            "sqlite:///results/customers.db?table=customers", _sqlite, upserts=True,
        ),
        End(
            "duckdb", "a table of a DuckDB file", "duckdb:///data/customers.duckdb?table=customers",
            "duckdb:///results/customers.duckdb?table=customers", extra="duckdb", upserts=True,
        ),
        *(
            End(
                name, f"a table of {what}", f"{name}://{_server(variable)}/shop?table=customers",
                f"{name}://{_server(variable)}/warehouse?table=customers", None, _variables(variable), extra,
                upserts=True,
            )
            for name, what, variable, extra in (
                ("postgres", "Postgres", "PG", None),
                ("mysql", "MySQL", "MYSQL", "mysql"),
                ("mariadb", "MariaDB", "MARIADB", "mysql"),
            )
        ),
    )
}  # fmt: skip
"""Every end by its name in the name of a template."""
