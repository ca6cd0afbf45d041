"""Tests what can be added to Loom, and what is said where it cannot be used."""

from __future__ import annotations

import sys

import pytest

from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_common.domain.definition.pipeline import models_of
from loom_common.domain.definition.quality_gate import GateConfig
from loom_common.domain.definition.reader import parse
from loom_common.domain.run.gates import Score, decide
from loom_common.domain.run.plan import Plan
from loom_common.errors import ConfigurationError, PermanentError, PluginUnusable
from loom_common.plugins.installed import offered
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find, names, register
from loom_evaluator.gates import gate_of
from support.plugin_packages import plugin_packages, problems_of

SHORTNESS = """
from loom.plugins import PluginEvaluator

LOOM_PLUGIN_API = 1


class Shortness(PluginEvaluator):
    most: int = 10

    def build(self):
        return lambda output, record: float(len(output["text"]) <= self.most)
"""
STRICT = """
from loom.plugins import PluginGate

LOOM_PLUGIN_API = 1


class Strict(PluginGate):
    least: float

    def build(self):
        return self

    def apply(self, scores):
        return all(score.value >= self.least for score in scores)
"""


@pytest.fixture
def packages(tmp_path, monkeypatch):
    with plugin_packages(tmp_path / "site", monkeypatch) as packages:
        yield packages


def definition(*evaluators, **more):
    return {
        "name": "p",
        "extract": {"source": "x.csv"},
        "transform": {"type": "passthrough"},
        "evaluate": {"evaluators": list(evaluators), **more.pop("evaluate", {})},
        "load": {"destination": "y.csv"},
        **more,
    }


def shortness(packages, code=SHORTNESS, **more):
    offers = {"loom.evaluators/shortness": "loom_test_shortness:Shortness"}
    packages.install("loom-test-shortness", offers, code, **more)


def test_nothing_is_imported_before_it_is_named(packages):
    shortness(packages, "raise RuntimeError('imported')")
    assert names(Kind.EVALUATOR) == ["shortness"]
    assert parse(definition({"type": "length", "threshold": 1})).evaluate is not None
    assert "loom_test_shortness" not in sys.modules


def test_the_metadata_of_packages_is_not_read_for_what_loom_brings_itself(monkeypatch):
    def read():
        raise AssertionError("the metadata of all packages was read")

    monkeypatch.setattr("loom_common.plugins.installed.offered", read)
    judge = {"type": "semantic", "reference_field": "text", "threshold": 0.5, "model": "anthropic:claude-haiku-4-5"}
    asking = {"type": "ai", "model": "gpt-4o-mini", "prompt": "{{ input.text }}"}
    assert models_of(parse(definition(judge, transform=asking))) == ["gpt-4o-mini", judge["model"]]


def test_an_evaluator_of_a_package_brings_its_own_keys(packages):
    shortness(packages)
    pipeline = parse(definition({"type": "shortness", "most": 3, "threshold": 1}))
    made = pipeline.evaluate.evaluators[0]
    assert (made.name, made.most) == ("shortness", 3)
    assert made.build()({"text": "four"}, {}) == 0.0
    assert pipeline.evaluate.model_dump(exclude_defaults=True)["evaluators"] == [
        {"name": "shortness", "type": "shortness", "most": 3, "threshold": 1.0}
    ]


def test_a_plan_carries_the_keys_of_a_plugin(packages):
    shortness(packages)
    plan = Plan(pipeline=parse(definition({"type": "shortness", "most": 3, "threshold": 1})))
    assert Plan.decoded(plan.encoded()) == plan


def test_a_process_without_the_package_says_so_and_loses_no_record(packages):
    shortness(packages)
    encoded = Plan(pipeline=parse(definition({"type": "shortness", "most": 3, "threshold": 1}))).encoded()
    sys.path.pop(0)
    offered.cache_clear()
    with pytest.raises(PermanentError, match=r"cannot read the plan of the run: .*shortness.*loom resume"):
        Plan.decoded(encoded)


def test_mistakes_in_its_keys_are_placed_like_any_other(packages):
    shortness(packages)
    wrong, unknown = problems_of(definition({"type": "shortness", "mots": 3, "most": "many", "threshold": 1}))
    assert wrong.startswith("evaluate.evaluators[0].most: found 'many'; expected a whole number")
    assert unknown == (
        "evaluate.evaluators[0].mots: found the unknown key 'mots'; "
        "expected one of calibration, field, most, name, threshold, type, weight. Did you mean 'most'?"
    )


def test_an_unknown_evaluator_names_those_of_packages_too(packages):
    shortness(packages)
    (words,) = problems_of(definition({"type": "shortnes", "threshold": 1}))
    assert "pairwise, shortness. Did you mean 'shortness'?" in words


def test_a_package_that_the_pipeline_needs_is_named_where_it_is_missing(packages):
    shortness(packages)
    met = definition({"type": "shortness", "threshold": 1}, plugins=["loom-test-shortness>=1.0"])
    assert parse(met).plugins == ["loom-test-shortness>=1.0"]
    wanted = ["loom-test-shortness>=2", "loom-test-absent", "no package!"]
    old, absent, strange = problems_of(definition({"type": "length", "threshold": 1}, plugins=wanted))
    assert "expected another version of loom-test-shortness than 1.0" in old
    assert "pip install 'loom-test-shortness>=2'" in old
    assert "plugins[1]: found 'loom-test-absent'; expected a package that is installed here: pip install" in absent
    assert "expected the name of a package" in strange


UNFINISHED = """
from loom.plugins import PluginEvaluator

LOOM_PLUGIN_API = 1


class Shortness(PluginEvaluator):
    most: int = 3
"""


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_module", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(1)", "cannot be imported: SystemExit: 1"),
        ("LOOM_PLUGIN_API = 1", "cannot be imported: AttributeError"),
        ("LOOM_PLUGIN_API = 0\nclass Shortness: pass", "is too old: it was written for version 0"),
        ("LOOM_PLUGIN_API = 2\nclass Shortness: pass", "needs version 2 of Loom's plugin interface"),
        ("class Shortness: pass", "does not say that it was written for this version of Loom: LOOM_PLUGIN_API = 1"),
        ("LOOM_PLUGIN_API = 1\nclass Shortness: pass", "is no subclass of PluginEvaluator"),
        (UNFINISHED, "(Shortness) does not define `build`"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_a_mistake_with_its_remedy(packages, code, words):
    shortness(packages, code)
    (problem,) = problems_of(definition({"type": "shortness", "most": 3, "threshold": 1}))
    assert problem.startswith("evaluate.evaluators[0].type: found 'shortness'; expected a plugin that can be used")
    assert words in problem
    if "cannot be imported" in words or "too old" in words or "does not say" in words:
        assert "the package loom-test-shortness 1.0" in problem.lower()
        assert "pip install --upgrade loom-test-shortness" in problem


def test_a_name_that_two_packages_offer_is_refused(packages):
    shortness(packages)
    packages.install("loom-test-other", {"loom.evaluators/shortness": "loom_test_other:Shortness"}, SHORTNESS)
    with pytest.raises(PluginUnusable, match="loom-test-other and loom-test-shortness both offer"):
        find(Kind.EVALUATOR, "shortness")


def test_a_model_among_the_keys_of_a_plugin_is_its_own(packages):
    shortness(packages, SHORTNESS.replace("most: int = 10", "most: int = 10\n    model: str"))
    pipeline = parse(definition({"type": "shortness", "model": "opnai:gpt-4o", "threshold": 1}))
    assert models_of(pipeline) == []
    judged = definition({"type": "relevance", "query_field": "q", "model": "opnai:gpt-4o", "threshold": 1})
    (problem,) = problems_of(judged)
    assert "Did you mean 'openai:gpt-4o'?" in problem


def test_an_evaluator_may_be_named_by_its_module(packages):
    shortness(packages)
    (evaluator,) = parse(definition({"type": "loom_test_shortness:Shortness", "threshold": 1})).evaluate.evaluators
    assert evaluator.build()({"text": "four"}, {}) == 1.0


def test_what_loom_brings_cannot_be_registered_anew():
    with pytest.raises(ConfigurationError, match="The evaluator 'length' is Loom's own"):
        register(Kind.EVALUATOR, "length", object(), ("length",))


def test_a_gate_of_a_package_has_keys_of_its_own(packages, tmp_path):
    packages.install("loom-test-strict", {"loom.gates/strict": "loom_test_strict:Strict"}, STRICT)
    config = EvaluateConfig.model_validate(
        {"evaluators": [{"type": "length"}], "quality_gate": {"type": "strict", "least": 0.5}}
    )
    gate = gate_of(config.quality_gate, tmp_path)
    assert decide(gate, [Score("a", 0.6)], "strict").passed
    assert not decide(gate, [Score("a", 0.4)], "strict").passed
    assert config.model_dump(exclude_defaults=True)["quality_gate"] == {"type": "strict", "least": 0.5}
    (problem,) = problems_of(
        definition({"type": "length"}, evaluate={"quality_gate": {"type": "strict", "least": "high"}})
    )
    assert problem.startswith("evaluate.quality_gate.least: found 'high'")


def test_a_gate_of_a_package_may_be_any_class_with_apply(packages, tmp_path):
    code = "LOOM_PLUGIN_API = 1\nclass Lenient:\n    def apply(self, scores):\n        return True\n"
    packages.install("loom-test-lenient", {"loom.gates/lenient": "loom_test_lenient:Lenient"}, code)
    assert decide(gate_of(GateConfig(type="lenient"), tmp_path), [Score("a", 0.0)], "lenient").passed


@pytest.mark.parametrize(
    ("kind", "base"), [("evaluators", "PluginEvaluator"), ("transforms", "PluginTransform"), ("gates", "PluginGate")]
)
def test_a_plugin_without_the_method_that_its_kind_asks_for_is_named_before_anything_is_read(packages, kind, base):
    code = f"from loom.plugins import {base}\nLOOM_PLUGIN_API = 1\nclass Bare({base}): pass\n"
    packages.install("loom-test-bare", {f"loom.{kind}/bare": "loom_test_bare:Bare"}, code)
    changes = {
        "evaluators": {"evaluate": {"evaluators": [{"type": "bare"}]}},
        "transforms": {"transform": {"type": "bare"}},
        "gates": {"evaluate": {"evaluators": [{"type": "length"}], "quality_gate": "bare"}},
    }
    found = problems_of({**definition({"type": "length"}), **changes[kind]})
    assert any("(Bare) does not define `build`" in each for each in found), found
