"""A destination that is the source, by whatever way it is reached, is refused before anything is read."""

from __future__ import annotations

import os

import pytest

from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_connectors.overlaps import overlap, overwritten
from loom_connectors.ports.context import ConnectorContext

PG = "postgres://u@db.example:5432/shop?table="


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "in.csv").write_text("id\n1\n")
    (tmp_path / "data" / "deep" / "in.csv").write_text("id\n1\n")
    (tmp_path / "data" / "d[1].csv").write_text("id\n1\n")
    (tmp_path / "link.csv").symlink_to("data/in.csv")
    (tmp_path / "other").symlink_to("data")
    os.link(tmp_path / "data" / "in.csv", tmp_path / "hard.csv")
    return tmp_path


def found(folder, source, destination, *, query=None, mode=None, fallback=None, environ=None, sample=False):
    load = {"destination": destination, "mode": mode, "key": ["id"] if mode == "upsert" else []}
    if fallback is not None:
        load |= {"fallback": fallback, "on_failure": "fallback"}
    context = ConnectorContext(folder, Credentials({"env": EnvProvider(environ or {})}), sample=sample)
    return overlap(ExtractConfig(source=source, query=query), LoadConfig(**load), context)


@pytest.mark.parametrize("mode", [None, "append", "replace"])
@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("data/in.csv", "data/in.csv"),
        ("data/in.csv", "./data/../data/in.csv"),
        ("data/in.csv", "data/deep/../in.csv"),
        ("data/in.csv", "link.csv"),
        ("link.csv", "data/in.csv"),
        ("data/in.csv", "hard.csv"),
        ("data/in.csv", "other/in.csv"),
        ("data/*.csv", "data/in.csv"),
        ("data/*.csv", "link.csv"),
        ("data/*.csv", "hard.csv"),
        ("data/*.csv", "data/new.csv"),
        ("data/*.csv", "other/new.csv"),
        ("other/*.csv", "data/new.csv"),
        ("./data/../data/*.csv", "data/new.csv"),
        ("data/**/*.csv", "data/new.csv"),
        ("data/**/*.csv", "data/a/b/new.csv"),
        ("**/*.csv", "data/deep/new.csv"),
        ("data/i?.csv", "data/ix.csv"),
        ("data/d[1].csv", "data/d[1].csv"),
    ],
)
def test_a_file_that_is_read_is_no_destination(folder, source, destination, mode):
    problem = found(folder, source, destination, mode=mode)
    assert problem is not None
    assert problem.path == ("load", "destination")
    assert "would destroy its own source" in str(problem)


def test_absolute_paths_are_seen_as_relative_ones_are(folder):
    assert found(folder, "data/in.csv", str(folder / "data" / "in.csv"))
    assert found(folder, str(folder / "data" / "*.csv"), "data/new.csv")


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("data/in.csv", "data/out.csv"),
        ("data/*.csv", "data/out.jsonl"),
        ("data/*.csv", "data/deep/new.csv"),
        ("data/*.csv", "out/new.csv"),
        ("data/*.csv", "data/.new.csv"),
        ("data/**/*.csv", "out/new.csv"),
        ("data/d[1].csv", "data/d1.csv"),
    ],
)
def test_another_file_is_a_destination(folder, source, destination):
    assert found(folder, source, destination) is None


@pytest.mark.parametrize("mode", [None, "append", "replace"])
@pytest.mark.parametrize(
    ("source", "query", "destination"),
    [
        ("sqlite:///a.db?table=t", None, "sqlite:///a.db?table=t"),
        ("sqlite:///a.db?table=t", None, "sqlite:///./x/../a.db?table=T"),
        ("sqlite:///a.db", "SELECT * FROM t WHERE x > 1", "sqlite:///a.db?table=t"),
        ("sqlite:///a.db", "select * from [t]", "sqlite:///a.db?table=t"),
        ("sqlite:///a.db", "select * from 't'", "sqlite:///a.db?table=t"),
        ("sqlite:///a.db", "select * from/* all */t", "sqlite:///a.db?table=t"),
        ("sqlite:///a.db", "select * from -- all\n t", "sqlite:///a.db?table=t"),
        ("sqlite:///a.db", "select * from (select * from (t))", "sqlite:///a.db?table=t"),
        ("sqlite:///a.db", "select 'from x' as w, -- from y\n * from t", "sqlite:///a.db?table=t"),
        ("sqlite:///a.db", "with x as (select * from t) select * from x", "sqlite:///a.db?table=t"),
        ("duckdb:///a.duckdb", "from a.t", "duckdb:///a.duckdb?table=t"),
        ("duckdb:///a.duckdb", "from a.main.t", "duckdb:///a.duckdb?table=t"),
        (PG + "t", None, PG + "t"),
        (PG + "t", None, "postgresql://other@DB.example/shop?table=public.t"),
        ("postgres://u@db.example/shop", 'select * from public."t" where x', PG + "t"),
        ("postgres://u@db.example/shop", "select * from shop.Public.T", PG + "t"),
        ("postgres://u@db.example/shop", "select extract(epoch from at), a is distinct from b from ONLY t", PG + "t"),
        ("postgres://localhost/shop?table=t", None, "postgres://127.0.0.1:5432/shop?table=t"),
    ],
)
def test_a_table_that_is_read_is_no_destination(folder, source, query, destination, mode):
    problem = found(folder, source, destination, query=query, mode=mode)
    assert problem is not None
    assert "u@" not in str(problem)


def test_rows_may_be_updated_in_their_own_table_where_that_is_said(folder):
    assert found(folder, "sqlite:///a.db?table=t", "sqlite:///a.db?table=t", mode="upsert") is None
    assert found(folder, PG + "t", PG + "t", mode="upsert") is None


@pytest.mark.parametrize(
    ("source", "query", "destination"),
    [
        ("sqlite:///a.db?table=t", None, "sqlite:///a.db?table=u"),
        ("sqlite:///a.db?table=t", None, "sqlite:///b.db?table=t"),
        (PG + "t", None, PG + "other.t"),
        (PG + "t", None, "postgres://db.example:5433/shop?table=t"),
        ("postgres://db/shop", 'SELECT * FROM "T"', "postgres://db/shop?table=t"),
        ("postgres://db/shop", "SELECT * FROM a WHERE id NOT IN (SELECT id FROM t)", "postgres://db/shop?table=t"),
        ("data/in.csv", None, "sqlite:///a.db?table=t"),
    ],
)
def test_another_table_is_a_destination(folder, source, query, destination):
    assert found(folder, source, destination, query=query, mode="replace") is None


def test_references_are_looked_through_and_compared_by_name_where_they_are_unknown(folder):
    environ = {"A": "postgres://db/shop", "B": "postgres://db/shop"}
    assert found(folder, "${A}?table=t", "${B}?table=t", environ=environ)
    url = "postgres://${USER}:${PASSWORD}@${HOST}/shop?table=t"
    assert found(folder, url, url)
    assert found(folder, "postgres://${U}:${P}@db/shop?table=t", "postgres://${V}:${Q}@db/shop?table=t")


def test_a_file_below_a_folder_that_is_read_is_no_destination(folder):
    assert found(folder, "data", "data/deeper/out.csv") is not None
    assert found(folder, "data/", "out.csv") is None


OBJECT = "s3://bucket/a/in.parquet?endpoint=http://store&secret_access_key=${S}"


@pytest.mark.parametrize(
    "source",
    [OBJECT, "s3://bucket/a/*.parquet?endpoint=http://store", "s3://bucket/a/in%2Eparquet?endpoint=http://store"],
)
def test_an_object_that_is_read_is_no_destination(folder, source):
    assert "its own source" in str(found(folder, source, OBJECT))
    assert found(folder, source, OBJECT.replace("/a/", "/b/")) is None
    assert found(folder, source, OBJECT.replace("//store", "//other")) is None
    problem = found(folder, "data/in.csv", OBJECT, fallback=OBJECT)
    assert "the destination itself" in problem.found


def test_the_place_of_a_sample_is_not_the_source(folder):
    for source, destination in (
        ("scores.sample.csv", "scores.csv"),
        ("*.sample.csv", "scores.csv"),
        ("sqlite:///a.db?table=t_sample", "sqlite:///a.db?table=t"),
        (PG + "t_sample", PG + "t"),
    ):
        assert found(folder, source, destination) is None
        assert found(folder, source, destination, sample=True) is not None


def test_a_database_is_known_by_a_way_through_a_folder_that_is_not_there(folder):
    (folder / "a.db").touch()
    assert found(folder, "sqlite:///a.db?table=t", "sqlite:///./x/../a.db?table=t", mode="replace")


def test_a_trial_does_not_write_to_the_other_destination(folder):
    for one, other in (
        ("out.csv", "out.sample.csv"),
        ("out.sample.csv", "out.csv"),
        (PG + "t", PG + "t_sample"),
        ("s3://b/x/out.csv", "s3://b/x/out.sample.csv"),
    ):
        assert found(folder, "data/in.csv", one, fallback=other) is None
        problem = found(folder, "data/in.csv", one, fallback=other, sample=True)
        assert problem.path == ("load", "fallback")


def test_a_file_that_the_pipeline_is_made_of_is_no_destination(folder):
    (folder / "p.yaml").symlink_to("data/in.csv")
    context = ConnectorContext(folder, Credentials({"env": EnvProvider({})}))
    for load in ({"destination": "data/in.csv"}, {"destination": "x.csv", "fallback": "data/in.csv"}):
        problem = overwritten(LoadConfig(**load), [folder / "p.yaml"], context)
        assert "the run would destroy it" in str(problem)
    assert overwritten(LoadConfig(destination="x.csv"), [folder / "p.yaml"], context) is None


def test_a_second_destination_is_neither_the_source_nor_the_first(folder):
    problem = found(folder, "data/in.csv", "out.csv", fallback="link.csv")
    assert (problem.path, "its own source" in problem.found) == (("load", "fallback"), True)
    for one, other in (("out.csv", "./x/../out.csv"), (PG + "t", PG + "public.t")):
        problem = found(folder, "data/in.csv", one, fallback=other)
        assert problem.path == ("load", "fallback")
        assert "the destination itself" in problem.found
    assert found(folder, "data/in.csv", "out.csv", fallback="rest.csv") is None
