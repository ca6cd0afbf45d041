"""Tests the templates for pairs of connectors, and the commands that show and write them."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from loom.cli.app import main
from loom.connector_list import Family, connectors
from loom.preflight import checks
from loom.project import definition_file
from loom.project.config import LoomConfig
from loom.project.yaml_positions import parse as parse_yaml
from loom.templates.ends import ENDS
from loom.templates.named import template_named, templates
from loom.templates.own_data import look_at
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


FEEDBACK = 'Ticket ID,Date,"Customer\'s Feedback"\n' + "".join(
    f"{number},2026-03-01,{text}\n" for number, text in enumerate(("It works and it is quiet.", "", "It broke."), 1001)
)


def test_a_pipeline_with_a_prompt_is_written_for_a_file_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "feedback: 1.csv").write_text(FEEDBACK)
    code, _, err = ran(capsys, "init", "mine", "--template", "prompt", "--data", "feedback: 1.csv")
    assert (code, "known by the column 'Ticket ID'; the prompt asks about \"Customer's Feedback\"" in err) == (0, True)
    loaded = definition_file.load(tmp_path / "mine/pipeline.yaml")
    assert (list(loaded.pipeline.extract.keys), list(loaded.pipeline.load.include)) == (
        ["Ticket ID"],
        ["Customer's Feedback"],
    )
    assert [each.column for each in loaded.pipeline.extract.quality_checks] == ["Customer's Feedback"]
    assert (tmp_path / "mine/data/feedback: 1.csv").read_text() == FEEDBACK
    assert not (tmp_path / "mine/data/feedback.csv").exists()
    looked = {check.what: check for check in asyncio.run(checks.check(loaded, LoomConfig()))}
    assert looked["source"].records == 3


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("own.json", "[]", "--data takes a CSV file"),
        ("own.csv", "a,b\n", "has no rows"),
        ("absent.csv", None, "cannot be read: no such file"),
        ("own.csv", "\udcff", "cannot be read"),
    ],
)
def test_a_file_that_is_no_data_is_told_and_nothing_is_written(name, text, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    code, _, err = ran(capsys, "init", "mine", "--template", "prompt", "--data", name)
    assert (code, told in " ".join(err.split()), "Traceback" in err) == (2, True, False)
    assert not (tmp_path / "mine").exists()


def test_data_for_another_template_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.csv").write_text(FEEDBACK)
    assert ran(capsys, "init", "mine", "--data", "own.csv")[0] == 2


def test_rows_without_a_key_are_known_by_their_content(tmp_path):
    (tmp_path / "own.csv").write_text("mood,text\ngood,It works.\ngood,It works.\n")
    own = look_at(tmp_path / "own.csv")
    assert (own.key, own.text) == (None, "text")
    written = own.put_into(template_named("prompt").files("mine"))["pipeline.yaml"]
    assert parse(parse_yaml(written, "pipeline.yaml").data).extract.keys == ()


def test_the_example_of_secrets_has_every_variable_that_the_pipeline_names(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert ran(capsys, "init", "shop", "--template", "postgres_to_s3")[0] == 0
    named = {
        line.partition("=")[0] for line in (tmp_path / "shop/.env.example").read_text().splitlines() if "=" in line
    }
    pipeline = (tmp_path / "shop/pipeline.yaml").read_text()
    assert named == set(re.findall(r"\$\{(\w+)\}", pipeline)) > {"PG_PASSWORD"}
    assert ran(capsys, "init", "mood", "--template", "sentiment")[0] == 0
    assert "# OPENAI_API_KEY=" in (tmp_path / "mood/.env.example").read_text()
