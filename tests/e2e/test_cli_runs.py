"""Tests `loom` as people use it: a process, its two streams, its exit code."""

import csv
import getpass
import shutil
from pathlib import Path

import pytest

from support.command import loom

EXAMPLE = Path(__file__).parents[2] / "examples/customer_sentiment"

PIPELINE = """\
name: numbers
version: 1.2.0
params:
  least: 0
extract: {source: numbers.csv, key: id}
transform: {type: python, function: 'work:double'}
evaluate:
  evaluators:
    - {type: range, name: small, field: twice, max: 6, threshold: 1.0}
  batch_threshold: BATCH
load: {destination: out/twice.jsonl}
"""
WORK = """\
from pathlib import Path

def double(record):
    if record["number"] == "broken" and not Path(__file__).with_name("mended").exists():
        raise ValueError("no number")
    return {"twice": 2 * int(record["number"].replace("broken", "2"))}
"""


async def shown(folder, *arguments):
    """Return what a command prints as JSON."""
    return (await loom(folder, *arguments, "--format", "json")).report


@pytest.fixture
def numbers(tmp_path):
    """Provide a pipeline: two records pass, one is rejected, one is broken."""
    (tmp_path / "numbers.csv").write_text("id,number\na,1\nb,2\nc,9\nd,broken\n")
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "numbers.yaml").write_text(PIPELINE.replace("BATCH", "0.1"))
    return tmp_path / "numbers.yaml"


async def test_the_example_runs_over_every_review_and_reports(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / "example", ignore=shutil.ignore_patterns("results"))
    ran = await loom(tmp_path, "run", "example/pipeline.yaml")
    assert (ran.code, "Traceback" in ran.err) == (0, False)
    words = ran.out.split()
    assert {"3,708", "agrees_with_people", "well_formed", "example/results/sentiment_scores.csv"} <= set(words)
    with (tmp_path / "example/results/sentiment_scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = await shown(tmp_path, "quarantine", "list", "--pipeline", "customer_sentiment", "--limit", "5000")
    assert len(rows) + len(kept) == 3708
    assert len({row["id"] for row in rows}) == len(rows)
    assert kept
    assert all(record["failure_reason"].startswith("agrees_with_people evaluator below") for record in kept)


async def test_a_report_is_one_json_document_with_every_key(numbers, tmp_path):
    ran = await loom(tmp_path, "run", "numbers.yaml", "--format", "json")
    report = ran.report
    assert (ran.code, ran.err) == (0, "")
    assert report["records"] == {
        "extracted": 4, "transformed": 3, "passed": 2, "unscored": 0, "rejected": 1,
        "quarantined": 1, "skipped": 0, "filtered": 0, "derived": 0, "unnested": 0, "grouped": 0,
        "cancelled": 0,
        "loaded": 2, "second": 0, "staged": 0,
    }  # fmt: skip
    assert set(report["evaluation"]["small"]) == {"mean", "std", "min", "max", "threshold", "pass_rate"}
    assert set(report["latency"]) == {"p50", "p95", "p99"}
    assert (report["pipeline"], report["version"], report["status"]) == ("numbers", "1.2.0", "succeeded")
    assert report["cost"]["total"] == 0
    assert report["calls"] == {"made": 0, "from_cache": 0}


async def test_a_run_is_found_again_by_status_history_lineage_and_list(numbers, tmp_path):
    run_id = (await shown(tmp_path, "run", "numbers", "--sample", "2"))["run_id"]
    assert (await shown(tmp_path, "status", run_id))["records"]["extracted"] == 2
    assert run_id in (await loom(tmp_path, "status", run_id)).out
    assert [run["run_id"] for run in await shown(tmp_path, "history", "numbers")] == [run_id]
    assert (await shown(tmp_path, "status"))["run_id"] == run_id
    assert [(run["run_id"], run["pipeline_name"]) for run in await shown(tmp_path, "history")] == [(run_id, "numbers")]
    (entry,) = await shown(tmp_path, "manifest", "--status", "succeeded")
    assert (entry["run_id"], entry["records"]["loaded"], entry["requested_by"]) == (run_id, 2, getpass.getuser())
    found = {check["what"]: check["ok"] for check in entry["preflight"]["checks"]}
    assert found["source"]
    assert found["destination"]
    assert "id" in [each["column"] for each in entry["preflight"]["columns"]]
    lines = (await loom(tmp_path, "manifest")).out
    assert "before" in lines
    assert " ready" in lines
    nothing = await loom(tmp_path, "manifest", "--status", "failed")
    assert nothing.err.strip() == "No run that is failed is known here."
    (way,) = await shown(tmp_path, "lineage", "numbers", "--run-id", run_id)
    assert (way["input_source"], way["output_record_count"]) == ("numbers.csv", 2)
    (listed,) = await shown(tmp_path, "list")
    assert (listed["name"], listed["file"], listed["last_run"]) == ("numbers", "numbers.yaml", run_id)


async def test_quarantined_records_are_listed_and_after_mending_retried(numbers, tmp_path):
    run_id = (await shown(tmp_path, "run", "numbers"))["run_id"]
    kept = {record["record_id"]: record for record in await shown(tmp_path, "quarantine", "list")}
    assert kept["c"]["failure_stage"] == "evaluate"
    assert kept["c"]["evaluation_scores"] == {"small": 0.0}
    assert kept["d"]["record_data"] == {"id": "d", "number": "broken"}
    assert "ValueError: no number" in kept["d"]["failure_reason"]
    (tmp_path / "mended").touch()
    again = await shown(tmp_path, "quarantine", "retry", run_id, "--record-ids", "d")
    assert again["records"]["loaded"] == 1
    resolved = {
        record["record_id"]: record["resolved"]
        for record in await shown(tmp_path, "quarantine", "list", "--run-id", run_id)
    }
    assert resolved == {"c": False, "d": True}


async def test_a_missed_batch_threshold_is_partial_and_exits_with_3(numbers, tmp_path):
    numbers.write_text(PIPELINE.replace("BATCH", "0.95"))
    ran = await loom(tmp_path, "run", "numbers.yaml")
    assert ran.code == 3
    assert ran.out.startswith("partial  numbers 1.2.0")
    assert "Batch quality below threshold: 66.7% < 95.0%" in ran.out


async def test_a_dry_run_checks_and_leaves_nothing(numbers, tmp_path):
    ran = await loom(tmp_path, "run", "numbers.yaml", "--dry-run")
    assert (ran.code, ran.out) == (0, "")
    assert "nothing was run" in ran.err
    assert not (tmp_path / "out").exists()
    assert await shown(tmp_path, "history", "numbers") == []


async def test_an_empty_source_is_a_success_of_no_records(numbers, tmp_path):
    (tmp_path / "numbers.csv").write_text("id,number\n")
    ran = await loom(tmp_path, "run", "numbers.yaml", "--format", "json")
    assert (ran.code, ran.report["records"]["extracted"]) == (0, 0)
