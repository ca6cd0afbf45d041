"""Tests folders as sources, and folders whose names are fields of the records."""

from __future__ import annotations

import pytest

from loom_connectors.locations import fields_in
from support.file_contents import content_of
from support.file_sources import source_of
from support.pieces import read_through


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("day=2024-01-01/a.csv", {"day": "2024-01-01"}),
        ("x/day=2024-01-01/zone=a%2Fb/a.csv", {"day": "2024-01-01", "zone": "a/b"}),
        ("day=__HIVE_DEFAULT_PARTITION__/a.csv", {"day": None}),
        ("day=/a.csv", {"day": ""}),
        ("=x/day/a=b.csv", {}),
    ],
)
def test_folders_name_fields(path, fields):
    assert fields_in(path) == fields


def write(folder, *names):
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content_of(name, [{"id": str(number)}]))


async def found(folder, name, **options):
    source = source_of(folder, name=name, **options)
    await source.check()
    records = await read_through(source, 1)
    assert await source.count() == len(records)
    await source.close()
    return [each.data for each in records]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "csv.gz", "parquet"])
async def test_the_fields_of_folders_are_in_every_record(tmp_path, ending):
    write(tmp_path, f"data/day=2024-01-01/a.{ending}", f"data/day=2024-01-02/a.{ending}")
    expected = [{"id": "0", "day": "2024-01-01"}, {"id": "1", "day": "2024-01-02"}]
    assert await found(tmp_path, f"data/*/*.{ending}") == expected
    assert await found(tmp_path, f"data/**/*.{ending}", key="day") == expected
    assert await found(tmp_path, f"data/*/*.{ending}", partitions=False) == [{"id": "0"}, {"id": "1"}]
    assert await found(tmp_path, f"data/day=2024-01-01/a.{ending}") == [{"id": "0"}]


async def test_a_field_of_the_file_comes_before_that_of_its_folder(tmp_path):
    write(tmp_path, "id=9/a.csv", "id=8/a.csv")
    assert await found(tmp_path, "*/a.csv") == [{"id": "1"}, {"id": "0"}]


async def test_a_folder_is_all_the_files_below_it(tmp_path):
    write(tmp_path, "data/b/1.csv", "data/a.csv", "data/.hidden.csv", "data/out.csv.loom/run_1/0.csv")
    (tmp_path / "data/_SUCCESS").touch()
    assert await found(tmp_path, "data", format="csv") == [{"id": "1"}, {"id": "0"}]
    assert await found(tmp_path, "data/", format="csv") == [{"id": "1"}, {"id": "0"}]
