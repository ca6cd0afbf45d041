"""Tests how rows come into a table that holds rows, by what the pipeline says and by default."""

from __future__ import annotations

from pathlib import Path

import pytest

from loom_common.config.credentials import Credentials
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.values import destination_names
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.sql.load_modes import Adding


def adding(record_key=(), *, sample=False, adds=False, **load):
    config = LoadConfig(destination="sqlite:///o.db?table=t", **load)
    around = ConnectorContext(Path(), Credentials(), record_key=record_key, sample=sample, adds=adds)
    return Adding.of(config, around)


@pytest.mark.parametrize(
    ("made", "mode", "key"),
    [
        (adding(), "append", ()),
        (adding(("id",)), "upsert", ("id",)),
        (adding(("id", "day")), "upsert", ("id", "day")),
        (adding(("id",), key=["other"]), "upsert", ("other",)),
        (adding(key=["other"]), "upsert", ("other",)),
        (adding(("id",), mode="append"), "append", ()),
        (adding(("id",), mode="replace"), "replace", ()),
        (adding(("id",), mode="upsert", key=["x"]), "upsert", ("x",)),
        (adding(("id",), mode="upsert", key=["x"], sample=True), "replace", ()),
        (adding(("id",), sample=True, adds=True), "append", ()),
    ],
)
def test_records_with_a_key_update_unless_the_pipeline_says_otherwise(made, mode, key):
    assert (made.mode, made.key) == (mode, key)


def test_validate_explains_what_a_later_run_makes_of_the_rows():
    assert "stands there twice" in adding(("id",), mode="append").effect
    assert adding(("id",)).effect == (
        "mode upsert by id, because records have a key: a record that is loaded again updates its row"
    )


def test_a_table_without_the_index_is_told_what_makes_it_and_what_else_there_is():
    words = str(adding(("id",)).no_index("t", "CREATE UNIQUE INDEX x"))
    assert "(the default where records have a key)" in words
    assert "CREATE UNIQUE INDEX x, or choose `mode: append`" in words
    assert "append" not in str(adding(("id",), mode="upsert", key=["id"]).no_index("t", "CREATE UNIQUE INDEX x"))


def test_names_of_what_lies_beside_a_destination():
    assert destination_names.sample_file("scores.csv") == "scores.sample.csv"
    assert destination_names.sample_file("scores") == "scores.sample"
    assert destination_names.sample_table("t" * 63) == "t" * 56 + "_sample"
    assert destination_names.staged_in("/data/out.csv", "run_1") == "/data/out.csv.loom/run_1"
    assert destination_names.staged_in("${RESULTS}?table=t", "run_1") == "the table t__loom_run_1 of ${RESULTS}"
    assert "beside ${RESULTS}, with run_1" in destination_names.staged_in("${RESULTS}", "run_1")
    assert destination_names.staged_in("postgres://db:5432/x?table=a.t", "run_1") == (
        "the table a.t__loom_run_1 of postgres://db:5432/x"
    )
