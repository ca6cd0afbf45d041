"""Tests a bad source: words that name the place and the remedy, the one record kept back, the rest loaded."""

from __future__ import annotations

import asyncio
import socket

import pytest

from support.projects import project
from support.requested_runs import requested_run
from support.told import JSON, kept, only, refused


def test_a_missing_file_is_named_with_its_machine(loom, tmp_path):
    project(tmp_path, source="revews.csv")
    words = refused(loom)
    assert f"{tmp_path / 'revews.csv'} on {socket.gethostname()}: No such file or directory" in words
    assert "correct extract.source" in words


def test_a_file_that_goes_missing_before_the_worker_reads_it_fails_the_run_alike(loom, tmp_path, monkeypatch):
    """A request on the bus is checked by nobody beforehand: the worker finds out."""
    report = asyncio.run(requested_run(project(tmp_path, source="revews.csv")))
    assert report.status == "failed"
    assert "revews.csv" in str(report.error)
    assert "correct extract.source" in str(report.error)


def test_a_ragged_row_is_kept_with_its_line(loom, tmp_path):
    project(tmp_path).path("reviews.csv").write_text(
        "id,review,stars\na,fine,1\nb,ragged\nc,too,many,cells\nd,good,2\n"
    )
    short, long = kept(loom, loaded=2)
    for record, line, data in (
        (short, 3, {"id": "b", "review": "ragged"}),
        (long, 4, {"id": "c", "review": "too", "stars": "many", "_surplus": ["cells"]}),
    ):
        assert (record["failure_stage"], record["record_data"]) == ("extract", data)
        assert f"reviews.csv line {line}: " in record["failure_reason"]
        assert "expected 3 (id, review, stars)" in record["failure_reason"]
        assert record["error_details"]["line"] == line


def test_a_wrong_encoding_is_kept_with_its_byte_and_the_option_to_set(loom, tmp_path):
    made = project(tmp_path)
    made.path("reviews.csv").write_bytes("id,review,stars\na,fine,1\nb,café,2\nc,good,3\n".encode("latin-1"))
    record = only(kept(loom, loaded=2))
    assert record["failure_stage"] == "extract"
    assert "reviews.csv line 3: byte 0xe9 at byte offset 30 is not utf-8 text" in record["failure_reason"]
    assert "options: {encoding: ...}" in record["failure_reason"]
    assert record["record_data"] == {"id": "b", "review": "caf\\xe9", "stars": "2"}

    made.say(extract={**made.definition["extract"], "options": {"encoding": "latin-1"}})
    assert loom("run", "pipeline.yaml", *JSON).report["records"]["loaded"] == 3


def test_a_json_line_cut_in_half_is_kept_as_it_stands(loom, tmp_path):
    made = project(tmp_path, source="reviews.jsonl", destination="out.jsonl")
    made.path("reviews.jsonl").write_text('{"id": "a", "n": 1}\n{"id": "b", "n"\n{"id": "c", "n": 3}\n')
    record = only(kept(loom, loaded=2))
    assert record["failure_stage"] == "extract"
    assert "reviews.jsonl line 2" in record["failure_reason"]
    assert record["record_data"] == {"raw": '{"id": "b", "n"'}


@pytest.mark.parametrize("content", ["", "id,review,stars\n"])
def test_an_empty_source_is_a_succeeded_run_of_no_records(loom, tmp_path, content):
    made = project(tmp_path, destination="sqlite:///out.db?table=t")
    made.path("reviews.csv").write_text(content)
    told = loom("run", "pipeline.yaml", *JSON)
    assert told.code == 0, told.err
    assert (told.report["status"], set(told.report["records"].values())) == ("succeeded", {0})


def test_a_duplicate_key_keeps_the_second_record_and_names_the_first(loom, tmp_path):
    made = project(tmp_path)
    made.path("reviews.csv").write_text("id,review,stars\na,first,1\nb,other,1\na,second,2\n")
    record = only(kept(loom, loaded=2))
    assert record["failure_reason"] == "The key a at line 4 stood before at line 2; a key identifies one record."
    assert (record["failure_stage"], record["record_data"]["review"]) == ("extract", "second")


def test_a_record_without_its_key_is_kept_with_its_line(loom, tmp_path):
    made = project(tmp_path)
    made.path("reviews.csv").write_text("id,review,stars\na,first,1\n,other,1\n")
    record = only(kept(loom, loaded=1))
    assert "The key field 'id' is empty" in record["failure_reason"]
    assert "line 3" in record["failure_reason"]
    assert (record["failure_stage"], record["record_data"]["review"]) == ("extract", "other")


def test_a_key_that_is_no_column_is_refused_with_the_columns_there_are(loom, tmp_path):
    project(tmp_path, extract={"key": "idd"})
    words = refused(loom)
    expected = "expected a field of the source: id, review, stars. Did you mean 'id'?"
    assert f"extract.key: found 'idd'; {expected}" in words
