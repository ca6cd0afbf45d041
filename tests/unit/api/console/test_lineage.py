"""Tests the graph of where the records of all pipelines come from and go."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from loom_api.console.pages.lineage import drawn
from loom_coordinator.queries.lineage import Lineage

PROJECT = Path("/work/project")


def lineage(source, destination):
    return Lineage(
        run_id="run_1", input_source=source, input_query=None, input_record_count=1, stages=None,
        output_destination=destination, output_record_count=1, pipeline_version="1", model=None, prompt_version=None,
        context_versions=None, replay_of=None, status="succeeded", started_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        replays=[],
    )  # fmt: skip


def stores(*pipelines):
    newest = [(name, lineage(source, destination)) for name, _, source, destination in pipelines]
    graph = drawn(newest, {name: base for name, base, _, _ in pipelines}, PROJECT)
    return sorted(box.node.about for box in graph.boxes if box.node.link is None)


def test_files_of_the_same_relative_path_in_other_folders_are_other_boxes():
    assert stores(("a", "a", "data/in.csv", "out.csv"), ("b", "b", "data/in.csv", "out.csv")) == [
        "a/data/in.csv", "a/out.csv", "b/data/in.csv", "b/out.csv",
    ]  # fmt: skip


def test_a_file_that_one_writes_and_another_reads_is_one_box_however_they_name_it():
    first = ("a", "a", "in.csv", "../shared/x.csv")
    others = [("b", "", "shared/x.csv", "b.csv"), ("c", "/work/project/c", "/work/project/shared/x.csv", "/else/c.csv")]
    assert stores(first, *others) == ["/else/c.csv", "a/in.csv", "b.csv", "shared/x.csv"]


def test_what_is_no_path_is_shown_as_it_is_written():
    written = ("a", "a", "postgres://db/app?table=t", "python:sinks.write")
    assert stores(written, ("b", "b", None, "s3://bucket/x.csv")) == [
        "-", "postgres://db/app?table=t", "python:sinks.write", "s3://bucket/x.csv",
    ]  # fmt: skip
