"""Runs pipelines over large records, whose batches and slices end by their bytes, in the same places everywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from support.measured_runs import measured
from support.places import Place, run_at, table
from support.projects import Project, project, reviews

RECORDS, WIDTH = 33, 200_000
MANY, WIDE = 200, 1_000_000
LIMIT_MB = 400.0
"""A process that kept all records of the source took 620 MB."""


def large(folder: Path, count: int, width: int, **sections: Any) -> tuple[Project, list[Mapping[str, str]]]:
    """Write a pipeline over so many records of so many characters. Return it, and the records."""
    rows = list(reviews(count, width=width))
    made = project(folder, 0, source="reviews.jsonl", **sections)
    made.path("reviews.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return made, rows


async def loaded_in_order(place: Place, name: str) -> list[tuple[int, int, int]]:
    """Run a pipeline over large records to its end. Return the slice, the position and the size of each batch."""
    folder, destination = place.own(name)
    bounds = {"batch_mb": 1, "slice_mb": 2, "partitions": 1}
    made, rows = large(folder, RECORDS, WIDTH, name=name, destination=destination, extract=bounds)
    report, loaded = await run_at(place, made)
    assert (report["status"], report["records"]["loaded"]) == ("succeeded", RECORDS)
    assert [(each["id"], each["review"]) for each in loaded] == [(each["id"], each["review"]) for each in rows]
    batches = await table(
        place,
        f"SELECT slice, position, extracted FROM batches WHERE run_id = '{report['run_id']}' ORDER BY slice, position",
    )
    return [(each["slice"], each["position"], each["extracted"]) for each in batches]


EXPECTED = [(number, position, 5) for number in range(3) for position in range(2)] + [(3, 0, 3)]


async def test_embedded_batches_and_slices_end_by_their_bytes(here):
    assert await loaded_in_order(here, "large_records") == EXPECTED


async def test_on_rabbitmq_batches_and_slices_end_in_the_same_places(cluster):
    place = Place(cluster.project, clustered=True, environ=cluster.credentials)
    assert await loaded_in_order(place, "large_records") == EXPECTED


@pytest.mark.timeout(300)
async def test_memory_does_not_grow_with_the_bytes_of_a_source(tmp_path):
    bounds = {"batch_mb": 2, "slice_mb": 8}
    made, _ = large(tmp_path, MANY, WIDE, name="wide_records", extract=bounds, destination="out.jsonl")
    out, peak = await measured(made)
    assert f'"loaded": {MANY}' in out
    print(f"embedded, {MANY} records of a megabyte: {peak:.0f} MB")
    assert peak < LIMIT_MB
