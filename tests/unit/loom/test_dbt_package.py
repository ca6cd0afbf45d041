"""Tests that the package for dbt names tables and columns that Loom has. `make dbt` tries it with dbt itself."""

from pathlib import Path

from ruamel.yaml import YAML

from loom_coordinator.db.tables import outcomes, runs, work  # noqa: F401 - they enter their tables
from loom_coordinator.db.tables.columns import metadata as run_state
from loom_quarantine.db.tables import quarantined_records

PACKAGE = Path(__file__).parents[3] / "integrations" / "dbt" / "loom"


def test_its_sources_are_tables_and_columns_of_loom():
    tables = {**run_state.tables, "quarantined_records": quarantined_records}
    [source] = YAML(typ="safe").load(PACKAGE / "models" / "sources.yml")["sources"]
    for table in source["tables"]:
        columns = {column["name"] for column in table.get("columns", ())}
        assert columns <= set(tables[table["name"]].columns.keys()), table["name"]
