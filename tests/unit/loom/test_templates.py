"""Tests the templates for pairs of connectors, and the commands that show and write them."""

from __future__ import annotations

import asyncio
import json

import pytest

from loom.cli.app import main
from loom.connector_list import Family, connectors
from loom.preflight import checks
from loom.project import definition_file
from loom.project.config import LoomConfig
from loom.project.yaml_positions import parse as parse_yaml
from loom.templates.ends import ENDS
from loom.templates.named import template_named, templates
from loom.templates.pairs import pairs
from loom.templates.samples import CUSTOMERS
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.reader import parse
from loom_connectors.ports.context import ConnectorContext
from loom_connectors.registry import open_destination, open_source

OTHER_NAMES = {"excel": "xlsx", "gcs": "gs", "azure": "az"}
"""The names of ends that are not the name of their connector."""
HERE = [name for name, end in ENDS.items() if end.sample is not None]


def ran(capsys, *arguments):
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    return (exited.value.code or 0, *capsys.readouterr())


def of(name: str) -> Pipeline:
    return parse(parse_yaml(template_named(name).files("mine")["pipeline.yaml"], "pipeline.yaml").data)


def test_every_pair_is_a_pipeline():
    names = [pair.name for pair in pairs()]
    assert len(names) == len(set(names)) > 200
    for name in names:
        pipeline = of(name)
        assert (pipeline.name, pipeline.transform.type) == ("mine", "passthrough")


@pytest.mark.parametrize("name", ENDS)
async def test_every_end_is_a_location_that_its_connector_takes(name, tmp_path, monkeypatch):
    end = ENDS[name]
    for variable in end.variables:
        monkeypatch.setenv(variable, "eHg=")
    context = ConnectorContext(tmp_path, Credentials())
    if end.source is not None:
        await open_source(of(f"{name}_to_csv").extract, context).close()
    if end.destination is not None:
        await open_destination(of(f"csv_to_{name}").load, context).close()


def test_every_connector_is_an_end():
    families = (Family.STORAGE, Family.FORMAT, Family.DATABASE, Family.BROKER, Family.API)
    named = {OTHER_NAMES.get(name, name) for name in ENDS} | {"a path"}
    assert [each.names for each in connectors() if each.family in families and not named.intersection(each.names)] == []


@pytest.mark.parametrize("name", HERE)
def test_what_has_a_sample_validates_as_it_is(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert ran(capsys, "init", "mine", "--template", f"{name}_to_jsonl")[0] == 0
    loaded = definition_file.load(tmp_path / "mine/pipeline.yaml")
    looked = asyncio.run(checks.check(loaded, LoomConfig()))
    assert [check.detail for check in looked if not check.ok] == []
    (source,) = [check for check in looked if check.what == "source"]
    assert source.records in (len(CUSTOMERS), None)


def test_a_template_says_what_it_needs(capsys):
    code, out, _ = ran(capsys, "templates", "info", "s3_to_postgres")
    assert code == 0
    for words in ("make extras EXTRAS=objects", "export PG_PASSWORD=...", "put your own records", "mode: upsert"):
        assert words in out
    for name, words in (("csv_to_rest", "of https://api.example.com/customers in"), ("csv_to_s3", "of my-bucket in")):
        assert f"put your own address in place {words} `load.destination`" in ran(capsys, "templates", "info", name)[1]
    code, out, _ = ran(capsys, "templates", "list", "--format", "json")
    listed = json.loads(out)
    assert [each["name"] for each in listed] == [each.name for each in templates()]
    assert {"basic", "csv_to_postgres", "rabbitmq_to_duckdb"} <= {each["name"] for each in listed}


def test_the_list_of_templates_names_each_end_once_and_fits_a_screen(capsys):
    code, out, _ = ran(capsys, "templates", "list")
    assert code == 0
    assert len(out.splitlines()) < 40
    for name in ("basic", "rag", "sentiment", *ENDS):
        assert len([line for line in out.splitlines() if line.split()[:1] == [name]]) == 1, name


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("csv_to_postgre", "Did you mean 'csv_to_postgres'?"),
        ("csv_to_toml", "There is no template 'csv_to_toml'."),
        ("../basic", "There is no template '../basic'."),
        ("csv_to_", "There is no template 'csv_to_'."),
        ("", "There is no template ''."),
    ],
)
def test_a_template_that_is_none_is_told(name, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for arguments in (("init", "mine", "--template", name), ("templates", "info", name)):
        code, _, err = ran(capsys, *arguments)
        assert (code, told in " ".join(err.split()), "Traceback" in err) == (2, True, False)
    assert not (tmp_path / "mine").exists()
