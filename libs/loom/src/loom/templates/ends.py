"""Describes each end of a pipeline that a template may have: the connectors that Loom brings, as a source and as a
destination, each once. A template for a pair is made of two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from loom.templates import samples
from loom.templates.samples import Sample
from loom_connectors.built_in import EXTRAS


@dataclass(frozen=True, slots=True)
class End:
    """Describes a connector as the source or the destination of a new pipeline."""

    name: str
    what: str
    """Names the system in words: `a CSV file`."""
    source: str | None = None
    """The location that records are read from; None where it is no source."""
    destination: str | None = None
    """The location that rows go to; None where it is no destination."""
    sample: Sample | None = None
    """Is None where the records are elsewhere."""
    variables: Sequence[str] = ()
    """The environment variables that its location refers to."""
    extra: str | None = None
    """The extra of Loom that it needs."""
    upserts: bool = False
    """Tells whether rows with the same key can replace each other."""
    example: str | None = None
    """The part of its location that is an example, because only the user knows the real one: a bucket, an address. It
    is None where the location can be used as it is. `loom templates info` says what to put there."""
    options: Sequence[str] = ()
    """The lines of `options`, as YAML, which it has as a source and as a destination."""

    @property
    def has_sample(self) -> bool:
        """Tell whether a sample of it can be written here: its extra may be missing."""
        package = next((package for package, extra in EXTRAS.items() if extra == self.extra), None)
        return self.sample is not None and (package is None or find_spec(package) is not None)


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
        example="my-bucket",
    )


_SNOWFLAKE = "snowflake://${SNOWFLAKE_USER}:${SNOWFLAKE_PASSWORD}@${SNOWFLAKE_ACCOUNT}"
_WAREHOUSE = "warehouse=${SNOWFLAKE_WAREHOUSE}"

ENDS: Mapping[str, End] = {
    end.name: end
    for end in (
        _file("csv", "a CSV file", "csv", samples.loaded("csv"), written=True),
        _file("tsv", "a TSV file", "tsv", samples.loaded("tsv"), written=True),
        _file("json", "a JSON file", "json", samples.loaded("json"), written=True),
        _file("jsonl", "a JSON Lines file", "jsonl", samples.loaded("jsonl"), written=True),
        _file("parquet", "a Parquet file", "parquet", samples.loaded("parquet"), written=True, extra="arrow"),
        _file("arrow", "an Arrow file", "arrow", samples.loaded("arrow"), written=True, extra="arrow"),
        _file("excel", "an Excel workbook", "xlsx", samples.loaded("xlsx"), written=True, extra="excel"),
        _file("yaml", "a YAML file", "yaml", samples.yaml, written=False),
        _file("toml", "a TOML file", "toml", samples.toml, written=False),
        End("http", "a file of a web server", "https://example.com/customers.csv"),
        End(
            "rest", "a REST API", "rest+https://api.example.com/customers", "rest+https://api.example.com/customers",
            variables=("API_TOKEN",), example="https://api.example.com/customers",
            options=('auth: {type: bearer, token: "${API_TOKEN}"}',),
        ),
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
            "redis", "entries of a Redis stream", f"redis://{_server('REDIS')}/0?stream=customers",
            variables=_variables("REDIS"),
        ),
        End(
            "kafka", "messages of a topic of Kafka", f"kafka://{_server('KAFKA')}:9092/customers?group=customers",
            variables=_variables("KAFKA"), extra="kafka",
        ),
        End(
            "sqlite", "a table of a SQLite file", "sqlite:///data/customers.db?table=customers",
            "sqlite:///results/customers.db?table=customers", samples.sqlite, upserts=True,
        ),
        End(
            "duckdb", "a table of a DuckDB file", "duckdb:///data/customers.duckdb?table=customers",
            "duckdb:///results/customers.duckdb?table=customers", samples.duckdb, extra="duckdb", upserts=True,
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
                ("mssql", "SQL Server", "MSSQL", "mssql"),
            )
        ),
        End(
            "bigquery", "a table of BigQuery", "bigquery://my-project/shop?table=customers",
            "bigquery://my-project/warehouse?table=customers", extra="bigquery", upserts=True, example="my-project",
        ),
        End(
            "snowflake", "a table of Snowflake", f"{_SNOWFLAKE}/shop/public?{_WAREHOUSE}&table=customers",
            f"{_SNOWFLAKE}/warehouse/public?{_WAREHOUSE}&table=customers",
            variables=("SNOWFLAKE_USER", "SNOWFLAKE_PASSWORD", "SNOWFLAKE_ACCOUNT", "SNOWFLAKE_WAREHOUSE"),
            extra="snowflake", upserts=True,
        ),
    )
}  # fmt: skip
"""Every end by its name in the name of a template."""
