"""A definition's mistakes, nested ones too, and those of its files, are told in one round, each in its place."""

import importlib
import pkgutil

import pytest

import loom_common.domain
from loom.project.config import LoomConfig
from loom.project.definition_file import load
from loom_common.domain.section import Section
from loom_common.errors import InvalidDefinition


def mistakes(tmp_path, text):
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(InvalidDefinition) as caught:
        load(file)
    return [(problem.key, problem.line, problem.column) for problem in caught.value.problems]


def test_a_missing_prompt_is_reported_beside_an_unknown_key(tmp_path):
    told = mistakes(
        tmp_path,
        "name: p\nextract: {source: a.csv, batchsize: 3}\n"
        "transform: {type: ai, model: m, prompt: prompts/none.txt}\nload: {destination: b.csv}\n",
    )
    assert told == [("extract.batchsize", 2, 26), ("transform.prompt", 3, 33)]


EVERYTHING = """\
name: p
params:
  limit: {type: integer, default: ten}
extract: {source: a.csv, batch_size: true, max_failure_rate: 2}
transform:
  type: ai
  model: antropic:claude-haiku-4-5
  prompt: Say {{ inptu.x }}
  field: text
  base_url: localhost:1234
  timeout: 10 seconds
  output:
    label: strnig
    score: {type: number, minimum: low}
  fallback: {models: [opnai:gpt-4o], cached: true}
evaluate:
  evaluators:
    - {type: semantc, threshold: 7}
    - {type: exact_match, refrence_field: x}
    - {type: length, min: 5, max: 1, threshold: 1}
    - {type: length, threshold: 1}
    - {type: custom_criteria, model: m, criteria: "Is it {{ input.x }}?", threshold: 0.5}
  quality_gate: all_pass
load:
  destination: postgres://u:secret@h/db
  mode: upsert
monitoring: {latency_sla: {}, cost_budget: .inf}
"""


def test_every_mistake_is_told_in_one_round_whichever_part_of_it_is_wrong(tmp_path):
    assert mistakes(tmp_path, EVERYTHING) == [
        ("params.limit.default", 3, 26),
        ("extract.batch_size", 4, 26),
        ("extract.max_failure_rate", 4, 44),
        ("transform.model", 7, 3),
        ("transform.prompt", 8, 18),
        ("transform.field", 9, 3),
        ("transform.base_url", 10, 3),
        ("transform.timeout", 11, 3),
        ("transform.output.label", 13, 5),
        ("transform.output.score.minimum", 14, 27),
        ("transform.fallback", 15, 3),
        ("transform.fallback.models[0]", 15, 23),
        ("evaluate.evaluators[0].reference_field", 18, 7),
        ("evaluate.evaluators[0].type", 18, 8),
        ("evaluate.evaluators[0].threshold", 18, 23),
        ("evaluate.evaluators[1].reference_field", 19, 7),
        ("evaluate.evaluators[1]", 19, 7),
        ("evaluate.evaluators[1].refrence_field", 19, 27),
        ("evaluate.evaluators[2].max", 20, 30),
        ("evaluate.evaluators[3]", 21, 7),
        ("evaluate.evaluators[4].criteria", 22, 41),
        ("load", 24, 1),
        ("load.destination", 25, 3),
        ("monitoring.latency_sla", 27, 14),
        ("monitoring.cost_budget", 27, 31),
    ]


def test_no_rule_about_several_keys_waits_until_each_key_is_right():
    """A validator that runs after the fields would wait: such rules stand in `mistakes` instead."""
    for module in pkgutil.walk_packages(loom_common.domain.__path__, "loom_common.domain."):
        importlib.import_module(module.name)
    sections, found = [Section], []
    while sections:
        section = sections.pop()
        sections += section.__subclasses__()
        validators = section.__pydantic_decorators__.model_validators.values()
        found += [section.__name__ for each in validators if each.info.mode == "after"]
    assert found == []
    assert issubclass(LoomConfig, Section)


def test_all_that_a_section_misses_is_needed_and_not_one_of_it(tmp_path):
    (tmp_path / "p.yaml").write_text(
        "name: p\nextract: {source: a.csv}\ntransform: {type: enrich}\nload: {destination: b.csv}\n"
    )
    with pytest.raises(InvalidDefinition, match="says where records are looked up; and `fields`, which a transform of"):
        load(tmp_path / "p.yaml")


GOOD = """\
name: p
extract: {source: a.csv}
transform: {type: passthrough}
evaluate:
  evaluators:
    - {type: length, min: 1, threshold: 1}
    - type: regex
      pattern: a
      threshold: 1
load: {destination: b.csv}
"""


@pytest.mark.parametrize(
    ("was", "written", "place"),
    [
        ("min: 1, threshold: 1", "min: 1", "p.yaml:6:7: evaluate.evaluators[0]: found the settings given"),
        ("      threshold: 1\n", "", "p.yaml:7:7: evaluate.evaluators[1]: found the settings given"),
        ("pattern: a", "pattern: '('", "p.yaml:8:7: evaluate.evaluators[1].pattern: found '('"),
        ("type: regex", "type: regexp", "p.yaml:7:7: evaluate.evaluators[1].type: found type 'regexp'"),
        ("type: regex", "typ: regex", "p.yaml:7:7: evaluate.evaluators[1].typ: found the unknown key 'typ'"),
        ("- {type: length", "- length\n    - {type: length", "p.yaml:6:7: evaluate.evaluators[0]: found 'length'"),
        ("{type: length", "{type: length, name: regex", "p.yaml:7:7: evaluate.evaluators[1]: found 'regex'"),
        ("{source: a.csv}", "{}", "p.yaml:2:1: extract.source: found nothing; expected a value for `source`"),
        ("{source: a.csv}", "a.csv", "p.yaml:2:1: extract: found 'a.csv'; expected keys and values"),
        ("{source: a.csv}", "[a.csv]", "p.yaml:2:1: extract: found ['a.csv']; expected keys and values"),
        ("a.csv}", "a.csv, key: {a: b}}", "p.yaml:2:26: extract.key: found {'a': 'b'}; expected a text or"),
        ("a.csv}", "a.csv, key: [1, x]}", "p.yaml:2:32: extract.key[0]: found 1; expected a text"),
        ("evaluate:\n", "threshold: 1\nevaluate:\n", "p.yaml:4:1: threshold: found the unknown key 'threshold'"),
        ("  evaluators:", "  timeout: 3\n  evaluators:", "p.yaml:5:3: evaluate.timeout: found the unknown key"),
        ("evaluate:\n", "timeouts: {run: 0s}\nevaluate:\n", "p.yaml:4:12: timeouts.run: found '0s'; expected more"),
        ("evaluate:\n", "timeouts: {run: 5}\nevaluate:\n", "p.yaml:4:12: timeouts.run: found 5; expected a text"),
        ("evaluate:\n", "providers: {mine: {}}\nevaluate:\n", "p.yaml:4:13: providers.mine: found the settings"),
        ("evaluate:\n", "prices: {m: {input: -1, output: 0}}\nevaluate:\n", "p.yaml:4:14: prices.m.input: found -1"),
        (
            "evaluate:\n",
            "params: {n: {type: int}}\nevaluate:\n",
            "p.yaml:4:14: params.n.type: found 'int'; expected one",
        ),
        ("evaluate:\n", "monitoring: {cost_budget: 0}\nevaluate:\n", "p.yaml:4:14: monitoring.cost_budget: found 0"),
        ("b.csv}", "b.csv, mode: upsrt}", "p.yaml:10:28: load.mode: found 'upsrt'; expected one of append"),
        ("b.csv}", "b.csv, on_failure: fallback}", "p.yaml:10:28: load.on_failure: found 'fallback'; expected `fallb"),
        ("name: p", "name: P", "p.yaml:1:1: name: found 'P'; expected a name of at most 100 lower case letters"),
    ],
)
def test_each_mistake_of_a_definition_is_placed_where_it_was_made(tmp_path, monkeypatch, was, written, place):
    monkeypatch.chdir(tmp_path)
    assert GOOD.count(was) == 1
    (tmp_path / "p.yaml").write_text(GOOD.replace(was, written))
    with pytest.raises(InvalidDefinition) as caught:
        load(tmp_path / "p.yaml")
    assert str(caught.value.problems[0]).startswith(place)


def test_a_key_in_the_wrong_section_is_told_with_the_one_it_belongs_to(tmp_path):
    (tmp_path / "p.yaml").write_text(GOOD.replace("evaluate:\n", "prompt: x\nevaluate:\n"))
    with pytest.raises(InvalidDefinition, match="; `prompt` belongs to transform"):
        load(tmp_path / "p.yaml")


@pytest.mark.parametrize(
    ("model", "meant"),
    [
        ("antropic:claude-haiku-4-5", "anthropic:claude-haiku-4-5"),
        ("Anthropic:claude-haiku-4-5", "anthropic:claude-haiku-4-5"),
        ("opnai:gpt-4o", "openai:gpt-4o"),
        ("mistrl:mistral-large", "mistral:mistral-large"),
        ("olama:llama3.2:1b", "ollama:llama3.2:1b"),
        ("llama3.2:1b", None),
        ("llama2:7b", None),
        ("mixtral:8x7b", None),
        ("codellama:latest", None),
        ("deepseek-r1:7b", None),
        ("phi3:mini", None),
        ("ft:gpt-4o-mini-2024-07-18:org::id", None),
        ("gpt-4o", None),
        ("mine:x", None),
    ],
)
def test_a_provider_that_is_nearly_a_known_one_is_a_mistake_and_a_local_models_tag_is_none(tmp_path, model, meant):
    transform = f"{{type: ai, model: '{model}', prompt: Say it, output: {{a: string}}}}"
    text = GOOD.replace("{type: passthrough}", transform) + "providers: {mine: {base_url: 'http://h/v1'}}\n"
    (tmp_path / "p.yaml").write_text(text)
    if meant is None:
        assert load(tmp_path / "p.yaml").pipeline.transform.model == model
        return
    with pytest.raises(InvalidDefinition) as caught:
        load(tmp_path / "p.yaml")
    (problem,) = caught.value.problems
    assert (problem.key, problem.suggestion) == ("transform.model", meant)
