"""Tries texts that attack SQL, as values, as names of columns and as parameters of queries, on the real SQLite and
DuckDB; and templates that try to leave the sandbox. None may do anything."""

from __future__ import annotations

import itertools

import jinja2
import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.prompts.prompt import Prompt
from loom_common.errors import RecordError
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_destination, open_source
from support.load_batches import batch

_QUOTES = ("'", '"', "`", "\\'", "''", "]", "$$", "'--", '"--', "\u2019")
_ATTACKS = (
    "; DROP TABLE victim; --",
    " OR 1=1 --",
    " UNION SELECT * FROM victim --",
    "); DELETE FROM victim; --",
    "; ATTACH DATABASE 'stolen.db' AS stolen; --",
)
SQL = ["".join(pair) for pair in itertools.product(_QUOTES, _ATTACKS)]
"""Holds 50 texts that end a quoted text or name in one dialect or another, and go on as SQL."""

_ROOTS = ("''", "input", "context", "params", "input.id")
_WAYS = (
    "__class__",
    "__init__.__globals__",
    "__class__.__mro__[1].__subclasses__()",
    "__getattribute__('__class__')",
    "__reduce__()",
    "update({'id': 1})",
    "__dict__",
    "format.__globals__",
    "__class__.__base__",
    "__module__.__class__",
)
TEMPLATES = ["{{ " + f"{root}.{way}" + " }}" for root, way in itertools.product(_ROOTS, _WAYS)]
"""Holds 50 templates that reach for what is behind a value."""


@pytest.mark.parametrize("system", ["sqlite:///t.db", "duckdb:///t.duckdb"])
async def test_no_value_and_no_name_is_read_as_sql(system, tmp_path):
    assert len(set(SQL)) == 50
    context = ConnectorContext(tmp_path, Credentials())
    victim = open_destination(LoadConfig(destination=f"{system}?table=victim"), context)
    await victim.load(batch({"id": "kept"}))
    await victim.close()
    attacked = open_destination(LoadConfig(destination=f"{system}?table=attacked"), context)
    rows = [{"id": str(at), "text": text, **{f"c{text}": text for text in SQL}} for at, text in enumerate(SQL)]
    assert (await attacked.load(batch(*rows, name="attack"))).loaded == 50
    await attacked.close()

    assert await read(f"{system}?table=victim", tmp_path) == [{"id": "kept"}]
    assert sorted(await read(f"{system}?table=attacked", tmp_path), key=lambda row: int(row["id"])) == rows
    for text in SQL if system.startswith("sqlite") else SQL[::5]:  # each read of DuckDB opens the file
        found = await read(system, tmp_path, query="SELECT id FROM attacked WHERE text = {{ text }}", text=text)
        assert [row["id"] for row in found] == [str(SQL.index(text))]
    assert not (tmp_path / "stolen.db").exists()


async def read(location, folder, *, query=None, **params):
    context = ConnectorContext(folder, Credentials(), params=params)
    source = open_source(ExtractConfig(source=location, query=query, key="id"), context)
    try:
        return [dict(record.data) for record in (await source.read(None, 100)).records]
    finally:
        await source.close()


@pytest.mark.parametrize("text", TEMPLATES)
def test_no_template_leaves_the_sandbox(text):
    record = {"id": "r1"}
    with pytest.raises((RecordError, jinja2.TemplateSyntaxError)):
        Prompt(text, {"about": "words"}, {"day": "2026-01-01"}).render(record)
    assert record == {"id": "r1"}


@pytest.mark.parametrize("text", TEMPLATES + SQL)
def test_what_a_record_holds_is_no_template(text):
    assert Prompt("{{ input.text }}", {}, {}).render({"text": text}) == text
