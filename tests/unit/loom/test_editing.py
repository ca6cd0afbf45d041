"""Tests the JSON Schemas of the files of a project, and the line by which editors find them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from loom.cli.app import main
from loom.editing import json_schema, modelines
from loom.templates import text_of
from loom.templates.named import template_named, templates

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted(ROOT.glob("examples/*/pipeline*.yaml"))
TEMPLATES = ("basic", "rag", "sentiment", "csv_to_postgres", "rest_to_s3", "kafka_to_csv")
PASSED_ON = {"type": "passthrough"}
PIPELINE = {"name": "p", "extract": {"source": "a.csv"}, "transform": PASSED_ON, "load": {"destination": "b.csv"}}
FILTER = {"name": "f", "type": "filter", "where": "x > 1"}
QUESTION = {"type": "ai", "model": "m", "prompt": "p.txt", "output": {"mood": "string"}}


def plain(text):
    return json.loads(json.dumps(YAML(typ="safe", pure=True).load(text), default=str))


@pytest.fixture(scope="module")
def pipeline():
    return jsonschema.Draft202012Validator(json_schema.of_pipeline())


def test_every_example_is_valid(pipeline):
    for path in EXAMPLES:
        assert pipeline.is_valid(plain(path.read_text())), path


def test_every_template_is_valid(pipeline):
    known = [each.name for each in templates() if each.name in TEMPLATES]
    assert len(known) >= 4
    for name in known:
        assert pipeline.is_valid(plain(template_named(name).files("mine")["pipeline.yaml"])), name


@pytest.mark.parametrize(
    "section",
    [
        {"version": 2.1},
        {"depends_on": "other"},
        {"ingest": "24h"},
        {"params": {"since": "2024-01-01", "size": 10, "full": True}},
        {"extract": {"source": "a.csv", "incremental": "updated_at", "key": ["a", "b"], "schema": "auto"}},
        {"load": {"destination": "b.csv", "key": "id", "on_failure": "skip"}},
        {"fail_on": {"rejected": 0.2, "failed": 0}},
        {"transform": {**QUESTION, "fallback": ["a", "b"], "output": "text"}},
        {"transform": {"type": "ai", "model": "m", "prompt_path": "p.txt", "output": {"mood": "string"}}},
        {"profiles": {"quick": {"steps": "all", "skip_steps": ["a"]}}},
        {"transform": {"type": "ours", "whatever": 1}},
        {"transform": {"steps": [{"name": "a", "when": "x > 1", **QUESTION}, FILTER]}},
        {"evaluate": {"quality_gate": "any_pass", "evaluators": [{"type": "ours", "threshold": 0.5, "more": [1]}]}},
        {"extract": {"source": "a", "quality_checks": [{"check": "not_null", "column": "id"}]}},
    ],
    ids=json.dumps,
)  # fmt: skip
def test_what_loom_accepts_is_valid(pipeline, section):
    assert [each.message for each in pipeline.iter_errors({**PIPELINE, **section})] == []


@pytest.mark.parametrize(
    "section",
    [
        {"lood": {}},
        {"load": {"destination": "b.csv", "mode": "upser"}},
        {"load": {"destination": "b.csv", "moed": "append"}},
        {"transform": {**QUESTION, "modle": "x"}},
        {"transform": {"steps": [{"name": "a", **QUESTION, "promt": "x"}]}},
        {"extract": {"source": "a.csv", "batch_size": 0}},
        {"evaluate": {"evaluators": [{"type": "exact_match", "thresold": 1}]}},
    ],
    ids=json.dumps,
)
def test_what_is_misspelt_is_not_valid(pipeline, section):
    assert not pipeline.is_valid({**PIPELINE, **section})


def test_the_configuration_is_valid_with_every_key_of_the_template_and_with_targets():
    config = jsonschema.Draft202012Validator(json_schema.of_config())
    every = "\n".join(line.removeprefix("# ") for line in text_of("loom.yaml").splitlines()[4:])
    targets = {"dev": {"load": {"mode": "append"}, "pipelines": {}}}
    written = {**plain(every), "default_target": "dev", "targets": targets}
    assert len(written) > 8
    assert [each.message for each in config.iter_errors(written)] == []
    assert not config.is_valid({"targets": {"dev": {"lood": {}}}})


def test_init_writes_the_schemas_and_names_them_in_the_first_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for arguments in (["init", "mine"], ["schema", "pipeline"], ["schema", "config"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert not ended.value.code
    mine = tmp_path / "mine"
    assert (
        (mine / "pipeline.yaml").read_text().startswith("# yaml-language-server: $schema=schemas/pipeline.json\nname:")
    )
    assert (mine / "loom.yaml").read_text().startswith("# yaml-language-server: $schema=schemas/loom.json\n")
    printed = capsys.readouterr().out
    assert json.dumps(json.loads((mine / "schemas/pipeline.json").read_text()), indent=2) in printed
    assert json.dumps(json.loads((mine / "schemas/loom.json").read_text()), indent=2) in printed
    below = modelines.of_pipeline(mine / "pipelines" / "other", mine)
    assert below == "# yaml-language-server: $schema=../../schemas/pipeline.json\n"
