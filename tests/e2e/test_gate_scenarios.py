"""Tests every scenario of the design's gates (design.md, section 8) through the command line, word for word."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from loom import Loom, QualityGate, register_quality_gate
from support.projects import Project, ids, project

CODE = """
from loom.quality_gates import Verdict

SCORES = {scores!r}

def scored(record, place):
    score = SCORES[record["id"]][place]
    if score == "raises":
        raise ValueError("cannot say")
    return score

def a(output, record): return scored(record, 0)
def b(output, record): return scored(record, 1)
def c(output, record): return scored(record, 2)
def d(output, record): return scored(record, 3)

class InItsOwnWords:
    def apply(self, scores):
        return Verdict(passed=scores[0].value >= 0.9, reason=f"{{scores[0].name}} is not outstanding")

class Broken:
    def apply(self, scores):
        raise ValueError("no idea")
"""
HALF = (0.5, 0.5, 0.5, 0.5)
NONE = (None, None, None, None)


@dataclass(frozen=True)
class Scenario:
    """Holds records by name: the scores of each, and why the gate holds it back; None where it passes."""

    gate: str | Mapping[str, Any]
    thresholds: Sequence[float | None]
    records: Mapping[str, tuple[Sequence[Any], str | None]]
    weights: Sequence[float] | None = None
    outcome: str = "rejected"
    """The outcome of those that are held back."""


SCENARIOS = {
    "all of one, inclusive": Scenario(
        "all_pass",
        (0.75,),
        {"on": ((0.75,), None), "below": ((0.7,), "a evaluator below threshold (0.70 < 0.75)")},
    ),
    "all of four": Scenario(
        "all_pass",
        (0.5, 0.8, 0.0, 1.0),
        {
            "all": ((0.5, 0.8, 0.0, 1.0), None),
            "one": ((0.5, 0.8, 0.0, 0.99), "d evaluator below threshold (0.99 < 1)"),
            "two": ((0.4, 0.79, 0.1, 1.0), "Multiple evaluators failed: a (0.40 < 0.5), b (0.79 < 0.8)"),
        },
    ),
    "majority of four": Scenario(
        "majority_pass",
        HALF,
        {
            "four": ((0.5, 0.5, 0.5, 0.5), None),
            "three": ((0.4, 0.5, 0.5, 0.5), None),
            "two": ((0.9, 0.9, 0.4, 0.4), "Majority not achieved: 2/4 passed (50%)"),
            "one": ((0.4, 0.4, 0.4, 0.5), "Majority not achieved: 1/4 passed (25%)"),
        },
    ),
    "majority of three": Scenario(
        "majority_pass",
        HALF[:3],
        {
            "two": ((0.5, 0.0, 0.5), None),
            "one": ((0.5, 0.4, 0.4), "Majority not achieved: 1/3 passed (33%)"),
        },
    ),
    "any of four": Scenario(
        "any_pass",
        HALF,
        {
            "last, on its threshold": ((0.0, 0.0, 0.0, 0.5), None),
            "none": ((0.49, 0.4, 0.3, 0.2), "No evaluators passed threshold"),
        },
    ),
    "weighted, no thresholds": Scenario(
        {"type": "weighted", "threshold": 0.75},
        NONE[:2],
        {
            "on": ((0.75, 0.75), None),
            "above": ((0.9, 0.4), None),
            "below": ((0.75, 0.68), "Weighted average below threshold (0.729 < 0.75)"),
        },
        weights=(0.7, 0.3),
    ),
    "weighted, thresholds and no weights": Scenario(
        {"type": "weighted", "threshold": 0.5},
        (0.9, None, 0.9, 0.9),
        {
            "on, though each is below its own": ((0.8, 0.2, 0.6, 0.4), None),
            "below": ((1.0, 0.0, 0.5, 0.4), "Weighted average below threshold (0.475 < 0.5)"),
        },
    ),
    "custom, in its own words": Scenario(
        "transforms:InItsOwnWords",
        NONE[:1],
        {"good": ((0.9,), None), "fair": ((0.89,), "a is not outstanding")},
    ),
    "custom, broken": Scenario(
        "transforms:Broken",
        NONE[:1],
        {"any": ((1.0,), "Quality gate transforms:Broken raised ValueError: no idea")},
        outcome="quarantined",
    ),
    "evaluator errors, the most lenient gate": Scenario(
        "any_pass",
        HALF[:2],
        {
            "good": ((1.0, 0.0), None),
            "too high": ((1.0, 1.01), "Evaluator b: the score is 1.01; expected a number from 0 to 1"),
            "negative": ((1.0, -0.01), "Evaluator b: the score is -0.01; expected a number from 0 to 1"),
            "not finite": ((1.0, float("nan")), "Evaluator b: the score is nan; expected a number from 0 to 1"),
            "no number": ((1.0, "fine"), "Evaluator b: the score is 'fine'; expected a number from 0 to 1"),
            "raises": ((1.0, "raises"), "Evaluator b: the function raised ValueError: cannot say"),
            "all of them": (("raises", "raises"), "Evaluator a: the function raised ValueError: cannot say"),
        },
        outcome="quarantined",
    ),
}


def written(folder, scenario: Scenario) -> Project:
    """Return a pipeline with an evaluator for each threshold, named a to d."""
    evaluators = []
    for place, (name, threshold) in enumerate(zip("abcd", scenario.thresholds, strict=False)):
        evaluator = {"name": name, "type": "python", "function": f"transforms:{name}", "threshold": threshold}
        weight = {} if scenario.weights is None else {"weight": scenario.weights[place]}
        evaluators.append({key: value for key, value in (evaluator | weight).items() if value is not None})
    scores = {name: tuple(values) for name, (values, _) in scenario.records.items()}
    code = CODE.replace("{scores!r}", repr(scores).replace("nan", "float('nan')"))
    return project(
        folder, [{"id": name, "review": "x", "stars": "1"} for name in scenario.records],
        code=code.replace("{{", "{").replace("}}", "}"),
        evaluate={"evaluators": evaluators, "quality_gate": scenario.gate},
    )  # fmt: skip


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_gate_decides_and_says_why_as_the_design_has_it(scenario, loom, tmp_path):
    given = SCENARIOS[scenario]
    made = written(tmp_path, given)
    report = loom("run", "pipeline.yaml", "--format", "json").report
    kept = json.loads(loom("quarantine", "list", "--format", "json").out)
    wanted = {name: reason for name, (_, reason) in given.records.items() if reason is not None}
    assert {each["record_id"]: each["failure_reason"] for each in kept} == wanted
    assert {each["failure_stage"] for each in kept} == {"evaluate"}
    assert ids(asyncio.run(made.loaded())) == sorted(given.records.keys() - wanted)
    nothing = {
        "rejected": ("partial", "Nothing was loaded: the gate rejected"),
        "quarantined": ("failed", "Nothing was loaded: errors kept back"),
    }[given.outcome]
    status, words = ("succeeded", "None") if len(wanted) < len(given.records) else nothing
    assert (report["status"], str(report["error"]).startswith(words)) == (status, True)
    assert report["records"][given.outcome] == len(wanted)


@pytest.mark.parametrize(
    ("threshold", "status", "words"),
    [
        (0.95, "partial", "Batch quality below threshold: 92.0% < 95.0%"),
        (0.92, "succeeded", None),
        (None, "succeeded", None),
    ],
)
def test_a_batch_threshold_is_judged_over_the_whole_run(threshold, status, words, loom, tmp_path):
    records = {f"r{number:02}": ((0.4,) if number % 12 == 1 and number < 90 else (0.5,), None) for number in range(100)}
    made = written(tmp_path, Scenario("all_pass", (0.5,), records))
    evaluate = {key: value for key, value in made.definition["evaluate"].items() if value is not None}
    batches = {} if threshold is None else {"batch_threshold": threshold}
    made.say(evaluate={**evaluate, **batches}, extract={**made.definition["extract"], "batch_size": 7})
    ended = loom("run", "pipeline.yaml", "--format", "json")
    assert (ended.report["status"], ended.report["error"]) == (status, words)
    assert (ended.report["records"]["loaded"], ended.report["records"]["rejected"]) == (92, 8)
    assert len(asyncio.run(made.loaded())) == 92
    assert len(json.loads(loom("quarantine", "list", "--limit", "100", "--format", "json").out)) == 8


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        (Scenario("all_pass", (), {"r": ((), None)}), "evaluate.evaluators"),
        (Scenario("all_pass", (0.5, None), {"r": ((1, 1), None)}), "a `threshold` for b: only a weighted gate does"),
        (Scenario({"type": "weighted"}, (0.5,), {"r": ((1,), None)}), "`threshold`, which a weighted gate needs"),
        (Scenario("al_pass", (0.5,), {"r": ((1,), None)}), "There is no quality gate 'al_pass'"),
    ],
)
def test_a_gate_that_could_not_decide_is_refused_before_the_run(scenario, words, loom, tmp_path):
    """Check that no results at all never pass: a pipeline without an evaluator is none."""
    written(tmp_path, scenario)
    told = loom("run", "pipeline.yaml")
    assert told.code == 2
    assert words in " ".join((told.out + told.err).split())
    assert not (tmp_path / "results").exists()


async def test_a_registered_gate_is_named_in_the_file(tmp_path, clean_environ):
    class Strictest(QualityGate):
        def apply(self, scores):
            return all(score.value == 1.0 for score in scores)

    register_quality_gate("strictest", Strictest)
    (tmp_path / "loom.yaml").touch()
    made = written(tmp_path, Scenario("strictest", (0.5,), {"best": ((1.0,), None), "good": ((0.9,), None)}))
    loom = Loom(tmp_path / "loom.yaml")
    result = await loom.run_pipeline(loom.load_pipeline(made.pipeline))
    assert ids(await made.loaded()) == ["best"]
    [kept] = await loom.get_quarantined_records(run_id=result.run_id)
    assert (kept["record_id"], kept["failure_reason"]) == ("good", "Quality gate strictest did not pass")
