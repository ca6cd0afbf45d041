"""Tests which connector a location belongs to."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import ConfigurationError, InvalidDefinition, MissingCredential
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import Guarantee
from loom_connectors.registry import open_destination, open_source


def context(folder, **environ: str) -> ConnectorContext:
    return ConnectorContext(folder, Credentials({"env": EnvProvider(environ)}))


@pytest.mark.parametrize(
    ("location", "guarantee"),
    [
        ("out.csv", Guarantee.OBJECT),
        ("OUT.TSV", Guarantee.OBJECT),
        ("deep/out.jsonl", Guarantee.OBJECT),
        ("file://{folder}/out.csv", Guarantee.OBJECT),
        ("out.ndjson", Guarantee.OBJECT),
        ("sqlite:///out.db?table=t", Guarantee.LEDGER),
        ("postgres://u:${PASSWORD}@h/d?table=t", Guarantee.LEDGER),
        ("postgresql://h/d?table=s.t", Guarantee.LEDGER),
        ("${URL}", Guarantee.LEDGER),
        ("${URL_BARE}?table=t", Guarantee.LEDGER),
    ],
)
async def test_a_location_opens_its_connector(tmp_path, location, guarantee):
    environ = {"PASSWORD": "p@ss/word", "URL": "sqlite:///o.db?table=t", "URL_BARE": "postgres://u:p@h:1/d"}
    destination = open_destination(
        LoadConfig(destination=location.replace("{folder}", str(tmp_path))), context(tmp_path, **environ)
    )
    assert destination.guarantee is guarantee
    for secret in ("p@ss", "p%40ss", "u:"):
        assert secret not in destination.location
    await destination.close()


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("reviews.cvs", "Did you mean 'csv'?"),
        ("postgre://h/d", "Did you mean 'postgres'?"),
        ("reviews", "sqlite://"),
        ("reviews", "options: {format: "),
        ("reviews.cvs", ".arrow, .csv, .feather, .json, .jsonl, .ndjson, .parquet"),
        ("file:///reviews.cvs", "Did you mean 'csv'?"),
        ("s9://bucket/reviews.csv", "rabbitmq://, redis://, rediss://, rest://, s3://, snowflake://, sqlite://"),
        ("file://host/reviews.csv", "file:///absolute/path (three slashes)"),
        ("sqlite://out.db", "three slashes"),
        ("sqlite:///out.db?tabel=t", "Did you mean 'table'?"),
        ("postgres://h/d?tabel=t", "Did you mean 'table'?"),
    ],
)
def test_a_location_nobody_knows_is_a_mistake(tmp_path, location, words):
    with pytest.raises(ConfigurationError) as raised:
        open_source(ExtractConfig(source=location), context(tmp_path))
    assert words in str(raised.value)


def test_an_error_shows_no_secret(tmp_path):
    with pytest.raises(ConfigurationError) as raised:
        open_source(ExtractConfig(source="${URL}"), context(tmp_path, URL="nosuch://user:hunter2@h/d"))
    assert "hunter2" not in str(raised.value)
    with pytest.raises(ConfigurationError) as raised:
        open_source(ExtractConfig(source="${URL}?table=t"), context(tmp_path, URL="postgres://u:hunt/er2@h/d"))
    assert "er2" not in str(raised.value)


def test_a_credential_that_is_not_set_is_named(tmp_path):
    with pytest.raises(MissingCredential, match="NOWHERE"):
        open_source(ExtractConfig(source="postgres://${NOWHERE}@h/d?table=t"), context(tmp_path))


@pytest.mark.parametrize(
    ("load", "words"),
    [
        ({"destination": "out.csv", "mode": "upsert", "key": "id"}, "upsert"),
        ({"destination": "out*.csv"}, "pattern"),
        ({"destination": "sqlite:///out.db"}, "?table="),
        ({"destination": "postgres://h/d"}, "?table="),
        ({"destination": "out.csv", "options": {"delimeter": ";"}}, "Did you mean 'delimiter'?"),
        ({"destination": "out.jsonl", "options": {"x": 1}}, "unknown key 'x'"),
        ({"destination": "out.txt", "options": {"format": "cvs"}}, "the unknown format 'cvs'"),
        ({"destination": "out.txt", "options": {"format": "cvs"}}, "Did you mean 'csv'?"),
        (
            {"destination": "out.csv", "options": {"format": 1}},
            "one of arrow, csv, feather, json, jsonl, ndjson, parquet",
        ),
        ({"destination": "sqlite:///o.db?table=t", "options": {"timeouts": {"quary": 1}}}, "Did you mean 'query'?"),
    ],
)
def test_a_load_that_cannot_be_is_a_mistake(tmp_path, load, words):
    with pytest.raises(ConfigurationError) as raised:
        open_destination(LoadConfig(**load), context(tmp_path))
    assert words in str(raised.value)


def test_asking_for_the_registry_imports_no_driver():
    code = "import sys, loom_connectors.registry as r; print([m for m in ('asyncpg', 'sqlite3') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


async def test_a_format_is_named_where_the_ending_does_not_say_it(tmp_path):
    (tmp_path / "reviews.txt").write_text('{"id": 1}\n', encoding="utf-8")
    config = ExtractConfig(source=f"file://{tmp_path}/reviews.txt", options={"format": "jsonl"})
    page = await open_source(config, context(tmp_path)).read(None, 10)
    assert [record.data for record in page.records] == [{"id": 1}]


@pytest.mark.parametrize("options", [{}, {"format": "txt"}], ids=["by the ending", "by the option"])
def test_a_destination_is_offered_formats_that_can_be_written_alone(tmp_path, options):
    context = ConnectorContext(tmp_path, Credentials({}))
    with pytest.raises(InvalidDefinition) as refused:
        open_destination(LoadConfig(destination="out.txt", options=options), context)
    assert "csv" in str(refused.value)
    assert not {"yaml", "yml", "toml"} & set(re.findall(r"\w+", str(refused.value)))
    with pytest.raises(InvalidDefinition, match="yaml"):
        open_source(ExtractConfig(source="in.txt", options=options), context)
    with pytest.raises(ConfigurationError, match="YAML files can only be read"):
        open_destination(LoadConfig(destination="out.yaml"), context)
