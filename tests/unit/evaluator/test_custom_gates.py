"""Tests the gate a pipeline names."""

import pytest

from loom_common.domain.definition.quality_gate import GateConfig
from loom_common.domain.run.gates import Score, Verdict, decide
from loom_common.errors import ConfigurationError, UserCodeError
from loom_evaluator.gates import gate_of, register_gate

SCORES = [Score("a", 0.9, 0.5), Score("b", 0.4, 0.5)]


class FirstOnly:
    def apply(self, scores):
        return Verdict(passed=scores[0].value > 0.95, reason="the first is not good enough")


@pytest.mark.parametrize(
    ("settings", "passed"),
    [
        (GateConfig(type="all_pass"), False),
        (GateConfig(type="any_pass"), True),
        (GateConfig(type="majority_pass"), False),
        (GateConfig(type="weighted", threshold=0.65), True),
        (GateConfig(type="weighted", threshold=0.0), True),
    ],
)
def test_looms_own_gates_are_known_by_name(settings, passed, tmp_path):
    assert decide(gate_of(settings, tmp_path), SCORES, settings.type).passed is passed


def test_a_registered_gate_is_known_by_its_name(tmp_path):
    register_gate("first_only", FirstOnly)
    gate = gate_of(GateConfig(type="first_only"), tmp_path)
    assert decide(gate, SCORES, "first_only").reason == "the first is not good enough"


def test_a_gate_class_beside_the_pipeline_is_found(tmp_path):
    (tmp_path / "rules.py").write_text("class Lenient:\n    def apply(self, scores):\n        return True\n")
    assert decide(gate_of(GateConfig(type="rules:Lenient"), tmp_path), SCORES, "rules:Lenient").passed


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("class G:\n    pass\n", r"has no method apply\(scores\)"),
        ("class G:\n    def __init__(self, x):\n        pass\n", "cannot be made: TypeError"),
    ],
)
def test_a_class_that_is_no_gate_is_refused(tmp_path, code, words):
    (tmp_path / "no_gate.py").write_text(code)
    with pytest.raises(UserCodeError, match=words):
        gate_of(GateConfig(type="no_gate:G"), tmp_path)


def test_an_unknown_gate_names_the_known_ones(tmp_path):
    with pytest.raises(UserCodeError, match="no quality gate 'al_pass'; known: all_pass, majority_pass, any_pass"):
        gate_of(GateConfig(type="al_pass"), tmp_path)


def test_looms_names_cannot_be_taken():
    with pytest.raises(ConfigurationError, match="'all_pass' is Loom's own"):
        register_gate("all_pass", FirstOnly)
