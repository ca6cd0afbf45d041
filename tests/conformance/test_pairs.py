"""Moves one typed, awkward table between every two systems: nothing changes but what docs/values.md says.

The connectors are used as the services use them: records are read, carried as messages are, loaded, and read back."""

from __future__ import annotations

import pytest

from support.awkward_table import LONG, ROWS, SYSTEMS, Pairs


@pytest.fixture
def pairs(tmp_path, s3_environment, postgres_url, mariadb_url):
    return Pairs(tmp_path, {**s3_environment, "DB": postgres_url, "MARIADB": mariadb_url})


@pytest.mark.parametrize("source", SYSTEMS)
async def test_a_typed_table_goes_into_every_system_unchanged(pairs, source):
    there = await pairs.moved(SYSTEMS[source], "first", sorted(ROWS, key=lambda row: row["id"]))
    for name, system in SYSTEMS.items():
        await pairs.moved(system, f"to_{name}", there)


async def test_a_text_of_five_megabytes_goes_through_every_system(pairs):
    there = [LONG]
    for name, system in SYSTEMS.items():
        there = await pairs.moved(system, f"round_{name}", there)
        assert there[0]["name"] == LONG["name"]
