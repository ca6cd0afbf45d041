"""Tests that a source is read in several partitions at the same time, and that nobody can tell from the result."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from loom.project.config import LoomConfig
from loom.session import open_session
from support import waiting_source
from support.books import assert_complete
from support.clients import ended, request_of
from support.projects import project, review_ids, reviews

RECORDS = 3000


def table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("key", ["id", None])
def test_a_file_that_was_read_in_several_partitions_is_written_in_its_order(tmp_path, run, key):
    made = project(tmp_path, RECORDS, extract={"batch_size": 20, "partitions": 4, "key": key})
    end = run()
    assert end.code == 0, end.err
    assert end.report["partitions"] == 4
    assert table(made.path(made.destination)) == table(tmp_path / "reviews.csv")


def test_what_is_wrong_with_a_record_is_told_as_of_the_whole_file(tmp_path, run):
    """A row is no record, and a key stood before in another partition."""
    rows = [*reviews(RECORDS), {"id": "r000003", "review": "once more", "stars": "1"}]
    made = project(tmp_path, rows, extract={"batch_size": 20, "partitions": 4})
    with (tmp_path / "reviews.csv").open("a", encoding="utf-8") as file:
        file.write("ragged\n")
    pieces = run()
    made.say(extract={**made.definition["extract"], "partitions": 1})
    whole = run()
    assert (pieces.report["partitions"], whole.report["partitions"]) == (4, 1)
    told = [{each["reason"] for each in end.report["reasons"]} for end in (pieces, whole)]
    assert told[0] == told[1]
    lines = len((tmp_path / "reviews.csv").read_text(encoding="utf-8").splitlines())
    assert any(f"reviews.csv line {lines}" in reason for reason in told[0]), told
    assert any("stood before at line" in reason for reason in told[0]), told
    assert pieces.report["records"] == whole.report["records"]


def test_a_trial_reads_the_first_records_in_one_partition(tmp_path, run):
    project(tmp_path, RECORDS, extract={"batch_size": 20, "partitions": 4})
    end = run("--sample", "7")
    assert (end.report["partitions"], end.report["records"]["extracted"]) == (1, 7)
    assert [row["id"] for row in end.report["rows"]] == review_ids(7)[: len(end.report["rows"])]


async def test_two_extractors_read_one_source(staffed, monkeypatch):
    shutil.copy(waiting_source.__file__, staffed.project / "waiting_source.py")
    monkeypatch.syspath_prepend(str(staffed.project))
    count = 4000
    made = project(
        staffed.project / "partitioned",
        0,
        name="partitioned",
        source=f"waiting_source:Numbers://below/{count}",
        destination="${RESULTS}?table=partitioned",
        extract={"batch_size": 50, "partitions": 4, "key": None},
    )
    config = LoomConfig.load(staffed.project / "loom.yaml")
    async with open_session(config, cluster=True) as session:
        accepted = await session.start(request_of(made, config))
        finished = await ended(session, accepted.run_id)
    rows = await made.loaded(staffed.credentials)
    assert_complete(finished.report.model_dump(), rows, [f"n{each:06}" for each in range(count)])
    assert finished.report.partitions == 4
    assert len({row["reader"] for row in rows}) == 2
