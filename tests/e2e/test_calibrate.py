"""Tests calibrators from their fit to labels to their use in runs."""

from __future__ import annotations

import csv
import json

import pytest

from loom_common.domain.checks.calibrator import parsed
from support.projects import project

CODE = """
def judged(record):
    number = int(record["id"].removeprefix("r"))
    return {"mood": "good", "confidence": 0.9 if number % 2 else 0.6}

def sure(output, record):
    return output["confidence"]
"""
OUTPUT = {"mood": {"enum": ["good", "bad"]}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}}
EVALUATOR = {"type": "python", "name": "sure", "function": "transforms:sure", "threshold": 0.5}


@pytest.fixture
def place(tmp_path):
    """Provide a pipeline that is right for half of what it states with 0.9, and for a tenth of what it states with
    0.6."""
    (tmp_path / "loom.yaml").touch()
    made(tmp_path)
    with (tmp_path / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", "verdict"])
        for number in range(40):
            right = number % 4 == 1 if number % 2 else number % 20 == 0
            writer.writerow([f"r{number:06}", "good" if right else "bad", "pass" if right else "fail"])
    return tmp_path


def made(folder, evaluator=None, **transform):
    return project(
        folder,
        40,
        transform={"type": "python", "function": "transforms:judged", "output": OUTPUT, **transform},
        evaluate={"evaluators": [{**EVALUATOR, **(evaluator or {})}]},
        code=CODE,
        destination="results/out.jsonl",
    )


CALIBRATE = (
    "bench", "calibrate", "pipeline.yaml", "--labels", "labels.csv", "--method", "isotonic", "--output", "curve.json",
    "--format", "json",
)  # fmt: skip


def test_a_calibrator_makes_stated_confidences_come_true_in_runs(place, loom):
    first = loom(*CALIBRATE, "--field", "mood", "--export", "page.html")
    assert first.code == 0, first.err
    before, after = first.report["before"], first.report["after"]
    assert before["ece"]["value"] == pytest.approx((0.4 + 0.5) / 2)
    assert after["ece"]["value"] < 0.25
    assert "5-fold cross-validation" in first.report["validation"]
    assert "Reliability after" in (place / "page.html").read_text()
    curve = parsed((place / "curve.json").read_text()).curve
    assert (curve(0.6), curve(0.9)) == (pytest.approx(0.1), pytest.approx(0.5))

    made(place, calibration="curve.json")
    assert loom("run", "pipeline.yaml").code == 0  # the evaluator passes 0.5 alone
    rows = [json.loads(line) for line in (place / "results/out.jsonl").read_text().splitlines()]
    assert {row["confidence"] for row in rows} == {0.5}
    measured = loom("bench", "run", "pipeline.yaml", "--labels", "labels.csv", "--field", "mood", "--format", "json")
    assert measured.report["candidates"][0]["confidence"]["ece"]["value"] == pytest.approx(0.0, abs=1e-9)
    # What is calibrated again is the confidence as the function states it.
    again = loom(*CALIBRATE, "--field", "mood", "--holdout", "0.5")
    assert (again.report["version"], "held out" in again.report["validation"]) == (2, True)
    assert again.report["before"]["mean_confidence"] == pytest.approx(0.75, abs=0.1)


def test_an_evaluator_is_calibrated_against_verdicts(place, loom):
    done = loom(*CALIBRATE, "--evaluator", "sure", "--label", "verdict")
    assert done.code == 0, done.err
    assert done.report["of"] == "sure"
    made(place, {"calibration": "curve.json", "threshold": 0.4})
    report = loom("run", "pipeline.yaml", "--format", "json").report
    assert report["evaluation"]["sure"]["mean"] == pytest.approx(0.3)
    assert report["records"]["passed"] == 20


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--method", "magic"), "is none of platt, isotonic"),
        (("--outputs", "labels.csv"), "give --evaluator, too"),
        (("--sample", "10"), "at least 20 are needed"),
        (("--output", "labels.csv"), "nothing is written in its place"),
        (("--export", "page.csv"), "exported as .html"),
        (("--confidence", "mood"), "states no confidence that could be calibrated"),
    ],
)
def test_what_cannot_be_calibrated_is_refused_with_a_sentence(place, loom, options, words):
    done = loom(*CALIBRATE, "--field", "mood", *options)
    assert done.code == 2
    assert words in " ".join(done.err.replace("│", " ").split())


def test_a_calibrator_that_is_not_there_or_is_none_is_placed_in_the_file(place, loom):
    made(place, calibration="labels.csv")
    assert "transform.calibration: found 'labels.csv'; expected a calibrator" in loom("validate", "pipeline.yaml").out
    made(place, {"calibration": "elsewhere.json"})
    assert "calibration: found 'elsewhere.json', which is not there" in loom("validate", "pipeline.yaml").out
