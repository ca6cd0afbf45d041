"""Tests the list of connectors: each is in it once, with its options, its extra and what it guarantees."""

from __future__ import annotations

import json
import tomllib
from importlib import util

import pytest

from loom import connector_list
from loom.cli.app import main
from loom.connector_list import Family, connectors
from loom_connectors.built_in import DESTINATIONS, EXTRAS, FORMATS, SOURCES, STORAGES
from support.documents import ROOT


def test_every_connector_is_listed_once():
    named = [name for each in connectors() if each.family is not Family.PLUGIN for name in each.names]
    assert sorted(named) == sorted({*STORAGES, *FORMATS, *SOURCES, *DESTINATIONS, "a path"} - {""})


def one(name):
    return next(each for each in connectors() if name in each.names)


@pytest.mark.parametrize(
    ("name", "writes", "extra", "key"),
    [
        ("csv", True, None, "delimiter"),
        ("parquet", True, "arrow", "columns"),
        ("xlsx", True, "excel", "sheet"),
        ("toml", False, None, "records"),
        ("s3", True, "objects", "endpoint"),
        ("az", True, "objects", "account"),
        ("sqlite", True, None, "timeouts"),
        ("mariadb", True, "mysql", "timeouts"),
        ("mssql", True, "mssql", "timeouts"),
        ("snowflake", True, "snowflake", "timeouts"),
        ("amqp", True, None, "prefetch"),
        ("redis", False, None, "claim_after"),
        ("kafkas", False, "kafka", "tombstones"),
    ],
)
def test_a_connector_says_what_it_can(name, writes, extra, key):
    found = one(name)
    assert (found.is_destination, found.extra) == (writes, extra)
    assert (found.guarantee is not None) is writes
    assert key in [option.key for option in found.source_options]


def test_what_is_not_installed_is_listed_with_its_extra(monkeypatch):
    found = util.find_spec
    monkeypatch.setattr(connector_list, "find_spec", lambda name: None if name == "pyarrow" else found(name))
    parquet = one("parquet")
    assert (parquet.is_installed, parquet.extra, parquet.source_options) == (False, "arrow", None)


def test_every_extra_is_that_of_a_connector():
    project = tomllib.loads((ROOT / "libs/loom_connectors/pyproject.toml").read_text())["project"]
    listed = {each.extra for each in connectors()} - {None}
    assert listed == set(project["optional-dependencies"]) == set(EXTRAS.values())


def told(capsys, *arguments):
    with pytest.raises(SystemExit) as exited:
        main(["connectors", *arguments])
    return exited.value.code, *capsys.readouterr()


def test_the_command_lists_them_for_people_and_programs(capsys):
    code, out, _ = told(capsys)
    assert code == 0
    assert "parquet" in out
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = told(capsys, "--format", "json")
    listed = json.loads(out)
    assert next(each for each in listed if "csv" in each["names"])["source_options"][0]["key"] == "format"
    code, out, _ = told(capsys, "parquet")
    assert "group_size" in out
    code, _, err = told(capsys, "parkett")
    assert code == 2
    assert "There is no connector 'parkett'. Did you mean 'parquet'? Known: " in " ".join(err.split())
