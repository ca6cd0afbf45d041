"""Tests quality gates, scenario by scenario with their exact words (design.md, section 8), and what holds for all
scores."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.run.gates import (
    BUILTIN,
    Score,
    Verdict,
    all_pass,
    any_pass,
    below_batch_threshold,
    decide,
    majority_pass,
    weighted,
)


def scores(*pairs):
    """Make scores from (name, value, threshold[, weight])."""
    return [Score(*pair) for pair in pairs]


PASS = Verdict(passed=True)
SEMANTIC_CRITERIA_FAIL = scores(("semantic", 0.60, 0.8), ("criteria", 0.65, 0.75))
ONE_OF_TWO = scores(("semantic", 0.85, 0.8), ("criteria", 0.70, 0.75))


@pytest.mark.parametrize(
    ("gate", "given_scores", "reason"),
    [
        pytest.param(all_pass, scores(("semantic", 0.85, 0.8), ("criteria", 0.8, 0.75)), None, id="all passed"),
        pytest.param(all_pass, scores(("semantic", 0.8, 0.8)), None, id="on its threshold"),
        pytest.param(all_pass, scores(("any", 0.0, 0.0)), None, id="a threshold of zero"),
        pytest.param(all_pass, ONE_OF_TWO, "criteria evaluator below threshold (0.70 < 0.75)", id="one failed"),
        pytest.param(
            all_pass,
            scores(("sure", 0.7069, 0.707)),
            "sure evaluator below threshold (0.7069 < 0.707)",
            id="hardly failed",
        ),
        pytest.param(
            all_pass,
            SEMANTIC_CRITERIA_FAIL,
            "Multiple evaluators failed: semantic (0.60 < 0.8), criteria (0.65 < 0.75)",
            id="more failed",
        ),
        pytest.param(
            all_pass,
            scores(("a", 0.9, 0.95), ("b", 1.0, 0.5), ("c", 0.0, 1.0)),
            "Multiple evaluators failed: a (0.90 < 0.95), c (0.00 < 1)",
            id="two of three failed",
        ),
        pytest.param(majority_pass, scores(("a", 0.9, 0.5), ("b", 0.9, 0.5), ("c", 0.1, 0.5)), None, id="two of three"),
        pytest.param(majority_pass, ONE_OF_TWO, "Majority not achieved: 1/2 passed (50%)", id="half is no majority"),
        pytest.param(
            majority_pass,
            scores(("a", 1, 0.5), ("b", 1, 0.5), ("c", 0, 0.5), ("d", 0, 0.5)),
            "Majority not achieved: 2/4 passed (50%)",
            id="two of four",
        ),
        pytest.param(
            majority_pass,
            scores(("a", 1, 0.5), ("b", 0, 0.5), ("c", 0, 0.5)),
            "Majority not achieved: 1/3 passed (33%)",
            id="one of three",
        ),
        pytest.param(any_pass, ONE_OF_TWO, None, id="one is enough"),
        pytest.param(any_pass, SEMANTIC_CRITERIA_FAIL, "No evaluators passed threshold", id="none passed"),
        pytest.param(
            weighted(0.75), scores(("a", 0.9, None, 0.5), ("b", 0.7, None, 0.5)), None, id="weighted mean reached"
        ),
        pytest.param(weighted(0.75), scores(("a", 0.75), ("b", 0.75)), None, id="weighted mean on its threshold"),
        pytest.param(
            weighted(0.75),
            scores(("semantic", 0.75, None, 0.7), ("criteria", 0.68, None, 0.3)),
            "Weighted average below threshold (0.729 < 0.75)",
            id="weighted mean missed",
        ),
        pytest.param(
            weighted(0.8),
            scores(("a", 1.0, 0.5), ("b", 0.5, 0.5)),
            "Weighted average below threshold (0.750 < 0.8)",
            id="weight is one unless given",
        ),
        pytest.param(weighted(0.2), scores(("a", 0.1), ("b", 0.4), ("c", 0.1)), None, id="a mean of 0.2 in decimal"),
        pytest.param(
            weighted(0.7),
            scores(("a", 0.7, None, 0.1), ("b", 0.7, None, 0.2), ("c", 0.7, None, 0.3)),
            None,
            id="a mean that falls short in binary only",
        ),
    ],
)
def test_a_gate_passes_or_says_why_not(gate, given_scores, reason):
    verdict = decide(gate, given_scores, "the gate")
    assert verdict == (PASS if reason is None else Verdict(passed=False, reason=reason))


@pytest.mark.parametrize("gate", [*BUILTIN.values(), weighted(0.0), lambda scores: True])
def test_no_results_at_all_never_pass(gate):
    assert decide(gate, [], "g") == Verdict(passed=False, reason="No evaluation results")


def test_a_custom_gate_speaks_its_own_words_or_true_and_false():
    one = scores(("a", 1.0))
    own = Verdict(passed=False, reason="not on a Friday")
    assert decide(lambda scores: own, one, "mine") is own
    assert decide(lambda scores: True, one, "mine") == PASS
    assert decide(lambda scores: False, one, "mine").reason == "Quality gate mine did not pass"


@pytest.mark.parametrize(
    ("passed", "judged", "threshold", "words"),
    [
        (92, 100, 0.95, "Batch quality below threshold: 92.0% < 95.0%"),
        (95, 100, 0.95, None),
        (9_496, 10_000, 0.95, "Batch quality below threshold: 94.96% < 95.0%"),
        (9_994, 10_000, 0.9995, "Batch quality below threshold: 99.9% < 99.95%"),
        (0, 0, 0.95, None),
        (0, 100, None, None),
    ],
)
def test_the_batch_threshold_is_judged_over_the_run(passed, judged, threshold, words):
    assert below_batch_threshold(passed, judged, threshold) == words


unit = st.floats(0, 1).map(lambda value: round(value, 6))
one_score = st.builds(
    Score,
    name=st.sampled_from("abcdef"),
    value=unit,
    threshold=unit,
    weight=st.floats(0.01, 100).map(lambda w: round(w, 3)),
)
some_scores = st.lists(one_score, min_size=1, max_size=6)
gates = st.one_of(st.sampled_from(list(BUILTIN.values())), unit.map(weighted))


@given(gate=gates, given_scores=some_scores, data=st.data())
def test_a_better_score_never_turns_a_pass_into_a_failure(gate, given_scores, data):
    position = data.draw(st.integers(0, len(given_scores) - 1))
    old = given_scores[position]
    better = Score(old.name, data.draw(st.floats(old.value, 1)), old.threshold, old.weight)
    raised = [*given_scores[:position], better, *given_scores[position + 1 :]]
    if decide(gate, given_scores, "g").passed:
        assert decide(gate, raised, "g").passed


@given(gate=gates, given_scores=some_scores, data=st.data())
def test_the_order_of_evaluators_does_not_matter(gate, given_scores, data):
    shuffled = data.draw(st.permutations(given_scores))
    assert decide(gate, shuffled, "g").passed == decide(gate, given_scores, "g").passed


@given(threshold=unit, given_scores=some_scores, factor=st.sampled_from([0.001, 0.5, 2, 10, 1000]))
def test_only_the_proportions_of_weights_matter(threshold, given_scores, factor):
    scaled = [Score(score.name, score.value, score.threshold, score.weight * factor) for score in given_scores]
    assert decide(weighted(threshold), scaled, "g").passed == decide(weighted(threshold), given_scores, "g").passed


@given(given_scores=some_scores)
def test_the_gates_are_ordered_from_strict_to_lenient(given_scores):
    strict, majority, lenient = (decide(gate, given_scores, "g").passed for gate in (all_pass, majority_pass, any_pass))
    assert strict <= majority <= lenient


@given(given_scores=some_scores, gate=gates)
def test_a_verdict_has_a_reason_exactly_when_it_fails(given_scores, gate):
    verdict = decide(gate, given_scores, "g")
    assert verdict.passed == (verdict.reason is None)
