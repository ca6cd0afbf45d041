"""Tests the targets of `loom.yaml`: what they make of a definition, which one is chosen, and where mistakes stand."""

from __future__ import annotations

import json

import pytest

from loom.cli.app import main
from loom.project import catalog, definition_file
from loom.project.config import LoomConfig
from loom.project.targets.rendering import rendered
from loom.project.targets.target import Target
from loom_common.errors import ConfigurationError, InvalidDefinition

PIPELINE = """
name: reviews
params: {since: {type: date, default: 2024-01-01}, size: 10}
extract: {source: in.csv, key: id, options: {delimiter: ;}}
transform: {type: passthrough}
evaluate: {evaluators: [{name: there, type: exact_match, field: id, reference_field: id, threshold: 1}]}
load: {destination: out.csv, mode: replace}
"""
WRITTEN = {
    "name": "reviews",
    "params": {"since": {"type": "date", "default": "2024-01-01"}, "size": 10},
    "extract": {"source": "in.csv", "options": {"delimiter": ";", "encoding": "utf-8"}},
    "transform": {"type": "ai", "model": "big", "prompt": "p.txt", "fallback": ["small", "big"]},
    "evaluate": {"model": "judge", "evaluators": [{"name": "c", "type": "custom_criteria", "model": "big"}]},
    "load": {"destination": "out.csv"},
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOOM_TARGET", raising=False)
    (tmp_path / "in.csv").write_text("id\n1\n2\n")
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)

    def write(text):
        (tmp_path / "loom.yaml").write_text(text)
        return LoomConfig.load()

    return write


def made(**said):
    return rendered(WRITTEN, "dev", Target.model_validate(said)).definition


def test_keys_of_a_section_take_the_place_of_the_pipelines_own_and_null_takes_one_away():
    definition = made(extract={"options": {"encoding": None, "quote": "'"}}, load={"mode": "append"})
    assert definition["extract"] == {"source": "in.csv", "options": {"delimiter": ";", "quote": "'"}}
    assert definition["load"] == {"destination": "out.csv", "mode": "append"}
    assert definition["target"] == "dev"


def test_what_is_said_of_one_pipeline_comes_before_what_is_said_of_all():
    one = {"reviews": {"load": {"destination": "mine.csv"}}, "other": {"load": {"destination": "no.csv"}}}
    definition = made(load={"destination": "all.csv", "mode": "append"}, pipelines=one)
    assert definition["load"] == {"destination": "mine.csv", "mode": "append"}


def test_names_stand_in_destinations_and_sources_and_references_stay():
    definition = made(
        extract={"source": "{target}/in.csv"}, load={"destination": "sqlite:///${target}.db?table={pipeline}_{target}"}
    )
    assert definition["extract"]["source"] == "dev/in.csv"
    assert definition["load"]["destination"] == "sqlite:///${target}.db?table=reviews_dev"


def test_models_are_replaced_wherever_they_are_named_and_the_file_stays_as_it_was():
    before = json.dumps(WRITTEN)
    definition = made(models={"big": "tiny"}, pipelines={"reviews": {"models": {"judge": "cheap"}}})
    assert (definition["transform"]["model"], definition["transform"]["fallback"]) == ("tiny", ["small", "tiny"])
    assert (definition["evaluate"]["model"], definition["evaluate"]["evaluators"][0]["model"]) == ("cheap", "tiny")
    every = made(models={"*": "one", "big": "two"})
    assert (every["transform"]["fallback"], every["evaluate"]["model"]) == (["one", "two"], "one")
    assert json.dumps(WRITTEN) == before


def test_models_of_every_step_of_a_transform_are_replaced():
    steps = [{"name": "a", "type": "ai", "model": "big"}, {"name": "b", "type": "passthrough"}]
    written = {**WRITTEN, "transform": {"type": "steps", "steps": steps}}
    definition = rendered(written, "dev", Target(models={"big": "tiny"})).definition
    assert definition["transform"]["steps"][0]["model"] == "tiny"


def test_parameters_get_values_where_the_pipeline_declares_them():
    definition = made(params={"since": "2026-01-01", "size": 3, "unknown": 1})
    assert definition["params"]["since"] == {"type": "date", "default": "2026-01-01"}
    assert definition["params"]["size"]["default"] == 3
    assert "unknown" not in definition["params"]


def test_a_section_that_a_pipeline_does_not_have_is_not_given_to_it():
    written = {key: value for key, value in WRITTEN.items() if key != "evaluate"}
    definition = rendered(written, "dev", Target(evaluate={"sample": 0.1}, monitoring={"cost_budget": 1})).definition
    assert "evaluate" not in definition
    assert definition["monitoring"] == {"cost_budget": 1}


def test_a_rendered_definition_comes_out_the_same():
    target = Target.model_validate({"load": {"destination": "{pipeline}.csv"}, "models": {"big": "tiny"}})
    once = rendered(WRITTEN, "dev", target).definition
    assert rendered(once, "dev", target).definition == once


def test_the_option_comes_before_the_variable_and_that_before_the_default(project, monkeypatch):
    assert project("targets: {a: {}, b: {}, c: {}}\n").target is None
    assert project("default_target: a\ntargets: {a: {}, b: {}, c: {}}\n").target == "a"
    monkeypatch.setenv("LOOM_TARGET", "b")
    assert LoomConfig.load().target == "b"
    assert LoomConfig.load(target="c").target == "c"


def test_a_target_that_there_is_not_is_refused_whoever_names_it(project, monkeypatch):
    project("targets: {dev: {}, prod: {}}\n")
    with pytest.raises(ConfigurationError, match=r"--target names .*'prd'.*Did you mean 'prod'\? Known: dev, prod"):
        LoomConfig.load(target="prd")
    monkeypatch.setenv("LOOM_TARGET", "stage")
    with pytest.raises(ConfigurationError, match="LOOM_TARGET names the target 'stage'"):
        LoomConfig.load()
    (LoomConfig.load(target="dev").project / "loom.yaml").unlink()
    with pytest.raises(ConfigurationError, match=r"loom\.yaml has no targets\. Write them there"):
        LoomConfig.load(target="dev")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "default_target: prd\ntargets:\n  prod: {}\n",
            r"loom.yaml:1:1: default_target: .* prod \(did you mean 'prod'",
        ),
        ("default_target: prod\n", "loom.yaml:1:1: default_target: .*no default without `targets`"),
        ("targets:\n  Prod: {}\n", "loom.yaml:2:3: targets.Prod: .*lower case"),
        ("targets:\n  prod:\n    lood: {}\n", "loom.yaml:3:5: .*unknown key 'lood'.* Did you mean 'load'"),
        (
            "targets:\n  prod:\n    load:\n      destination: postgres://u:secret@h/d?table=x\n",
            "loom.yaml:4:7: targets.prod.load.destination: found a secret in clear",
        ),
    ],
)
def test_a_mistake_in_targets_is_told_with_its_line_and_without_a_secret(project, text, words):
    with pytest.raises(InvalidDefinition, match=words) as refused:
        project(text)
    assert "u:secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("load: {destinaton: x.csv}", "loom.yaml:3:12: load.destinaton: .*Did you mean 'destination'"),
        ("extract: {batch_size: none}", "loom.yaml:3:15: extract.batch_size: .*a whole number"),
        ("params: {size: many}", "loom.yaml:3:14: params.size.default: .*a whole number"),
        ("pipelines: {reviews: {params: {sice: 1}}}", "loom.yaml:3:36: .*parameter 'sice'.* Did you mean 'since'"),
        ("pipelines: {review: {params: {size: 1}}}", "loom.yaml:3:17: .*'review'; .* Did you mean 'reviews'"),
        ("load: {mode: upsert}", None),
    ],
)
def test_a_mistake_of_a_target_stands_in_loom_yaml_and_others_in_the_pipelines_file(project, said, words):
    config = project(f"targets:\n  dev:\n    {said}\n").for_target("dev")
    if words is None:
        assert catalog.find_file("pipeline.yaml", config).pipeline.load.mode == "upsert"
        return
    with pytest.raises(InvalidDefinition, match=words):
        catalog.find_file("pipeline.yaml", config)


def test_a_target_in_a_pipelines_own_file_is_refused(project):
    config = project("targets: {dev: {}, prod: {}}\n")
    file = config.project / "pipeline.yaml"
    file.write_text(f"target: prod\n{PIPELINE}")
    with pytest.raises(InvalidDefinition, match=r"pipeline\.yaml:1:1: target: found 'prod'; expected no `target`"):
        definition_file.load(file, config.for_target("dev").applied_to)
    assert definition_file.load(file, config.for_target("prod").applied_to).pipeline.target == "prod"


def test_config_validate_reads_every_pipeline_for_every_target(project, capsys):
    project("targets:\n  dev: {}\n  prod:\n    load: {mode: upser}\n    pipelines: {gone: {}}\n")
    with pytest.raises(SystemExit) as ended:
        main(["config", "validate"])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "loom.yaml:4:12: load.mode" in said
    assert "loom.yaml:5:17: targets.prod.pipelines.gone" in said
