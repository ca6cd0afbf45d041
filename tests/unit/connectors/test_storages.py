"""Tests that a format reads and writes whatever storage its files lie in: here one that is no file system."""

from __future__ import annotations

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.errors import SourceError
from loom_connectors import registry
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.ports.destination import LoadBatch, Row
from support.memory_storage import MemoryStorage
from support.pieces import read_through


@pytest.fixture
def bucket(monkeypatch) -> dict[str, bytes]:
    """Return what lies in `memory://`."""
    storage = MemoryStorage()
    monkeypatch.setattr(registry, "_storage", lambda scheme: storage)
    monkeypatch.setattr(registry, "STORAGES", {**registry.STORAGES, "memory": ""})
    return storage.bucket


def source(folder, location: str):
    return registry.open_source(ExtractConfig(source=location), ConnectorContext(folder, Credentials({})))


async def load(folder, location: str, mode: str, *numbers: int, run: str = "run_1") -> bool:
    """Load a run with one batch for each number, and return what `finalize` says."""
    config = LoadConfig(destination=location, mode=mode)
    destination = registry.open_destination(config, ConnectorContext(folder, Credentials({})))
    await destination.check()
    for position, number in enumerate(numbers):
        await destination.load(LoadBatch(run, f"b{position}", 0, 0, position, [Row("r", {"id": str(number)})]))
    return await destination.finalize(run, complete=True)


@pytest.mark.parametrize("name", ["scores.csv", "scores.tsv", "scores.jsonl"])
async def test_what_is_written_is_read_back(tmp_path, bucket, name):
    assert await load(tmp_path, f"memory://{name}", "replace", 1, 2)
    assert await load(tmp_path, f"memory://{name}", "append", 3, run="run_2")
    records = await read_through(source(tmp_path, f"memory://{name}"), page=1)
    assert [record.data for record in records] == [{"id": "1"}, {"id": "2"}, {"id": "3"}]
    assert not [key for key in bucket if key.endswith((".part", ".add", ".new"))]


async def test_a_pattern_is_the_storages_to_match(tmp_path, bucket):
    bucket |= {"in/b.csv": b"id\n2\n", "in/a.csv": b"id\n1\n", "other.csv": b"id\n9\n"}
    opened = source(tmp_path, "memory://in/*.csv")
    records = await read_through(opened, page=1)
    assert [(record.position, record.data["id"]) for record in records] == [
        ("a.csv line 2", "1"),
        ("b.csv line 2", "2"),
    ]
    assert await opened.count() == 2


async def test_a_file_that_is_written_again_while_it_is_read_is_told(tmp_path, bucket):
    bucket["in.csv"] = b"id\n1\n2\n"
    opened = source(tmp_path, "memory://in.csv")
    page = await opened.read(None, 1)
    bucket["in.csv"] = b"id\n1\n3\n"
    with pytest.raises(SourceError, match=r"memory://in\.csv changed while the run was reading it"):
        await opened.read(page.cursor, 1)
