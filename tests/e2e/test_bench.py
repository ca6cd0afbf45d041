"""Tests benchmarks on labelled data, as they are asked for on the command line."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from support.documents import ROOT, of_page
from support.projects import project
from support.simulated_model import served_in_a_thread

CODE = """
def judged(record):
    stars = int(record["stars"])
    if stars == 1:
        raise ValueError("no stars, no mood")
    return {"mood": "good" if stars >= 3 else "bad", "confidence": stars / 5, "stars_said": stars + 0.5}
"""
OUTPUT = {"mood": {"enum": ["good", "bad"]}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "loom.yaml").touch()
    return tmp_path


def labelled(folder, rows, name="labels.csv"):
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def local(folder, **changes):
    """Make a pipeline over 50 reviews whose function fails for each fifth of them."""
    transform = {
        "type": "python",
        "function": "transforms:judged",
        "output": {**OUTPUT, "stars_said": {"type": "number"}},
    }
    rejecting = {"evaluators": [{"type": "exact_match", "field": "mood", "reference_field": "stars", "threshold": 1}]}
    return project(folder, 50, transform=transform, code=CODE, evaluate=rejecting, **changes)


def test_outputs_are_measured_whatever_the_gate_says_and_nothing_is_loaded(place, loom):
    made = local(place)
    labelled(place, [{"id": f"r{number:06}", "label": "good" if number % 5 >= 3 else "bad"} for number in range(40)])
    done = loom(
        "bench", "run", "pipeline.yaml", "--labels", "labels.csv", "--field", "mood", "--format", "json",
        "--export", "out.json", "--export", "out.csv", "--export", "out.html",
    )  # fmt: skip
    assert done.code == 0, done.err
    (measured,) = done.report["candidates"]
    assert (measured["records"], measured["answered"]) == (40, 32)
    assert measured["failures"] == {"transforms:judged raised ValueError: no stars, no mood": 8}
    # Stars of 2 are bad by both, of 3 good by the function alone, of 4 and 5 good by both; those of 1 have no answer.
    assert measured["classes"]["accuracy"]["value"] == pytest.approx(24 / 40)
    matrix = dict(zip(measured["classes"]["columns"], measured["classes"]["confusion"], strict=True))
    assert measured["classes"]["columns"] == ["(no answer)", "bad", "good"]
    assert (matrix["bad"], matrix["good"]) == ([8, 8, 8], [0, 0, 16])
    assert measured["confidence"]["records"] == 32
    assert (done.report["joined"]["read"], done.report["joined"]["whole"]) == (40, False)
    assert not (place / made.destination).exists()
    assert list((place / ".loom/results").iterdir()) == []
    records = json.loads((place / "out.json").read_text())["candidates"][0]["records_measured"]
    assert [each["right"] for each in records[:5]] == [False, True, False, True, True]
    assert len((place / "out.csv").read_text().splitlines()) == 41
    page = (place / "out.html").read_text()
    assert "0.600 [" in page
    assert "http" not in page  # it needs nothing from elsewhere


def test_numbers_are_compared_by_distance_and_order(place, loom):
    local(place)
    labelled(place, [{"id": f"r{number:06}", "label": number % 5 + 1} for number in range(50)])
    done = loom("bench", "run", "pipeline.yaml", "--labels", "labels.csv", "--field", "stars_said", "--format", "json")
    (measured,) = done.report["candidates"]
    assert (done.report["kind"], measured["numbers"]["records"]) == ("numbers", 40)
    assert measured["numbers"]["mae"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert measured["numbers"]["rank_correlation"]["value"] == pytest.approx(1.0)


def test_what_has_no_counterpart_is_said(place, loom):
    local(place)
    labels = [{"id": f"r{number:06}", "label": "good"} for number in range(10)]
    labelled(place, [*labels, {"id": "elsewhere", "label": "bad"}, {"id": "r000011", "label": ""}])
    done = loom("bench", "run", "pipeline.yaml", "--labels", "labels.csv", "--field", "mood")
    assert done.code == 0
    said = " ".join(done.err.split())
    assert "12 rows read, 11 with a label in 'label'; 10 belong to a record." in said
    assert "1 row without a label is left out." in said
    assert "1 label found no record: elsewhere." in said
    assert "40 records without a label were not run." in said


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([{"id": "r000001", "mood": "good"}], (), "which column holds the labels? Name it with --label"),
        ([{"id": "r000001", "label": "good"}], ("--label", "lable"), "no column 'lable'; it has id, label. Did you"),
        ([{"number": "r000001", "label": "good"}], (), "no column 'id'"),
        ([{"id": "nobody", "label": "good"}], (), "No label of labels.csv belongs to a record"),
        ([{"id": "r000001", "label": ""}], (), "no row has a label"),
        ([{"id": "r000001", "label": "good"}, {"id": "r000001", "label": "bad"}], (), "two labels"),
        ([{"id": "r000001", "label": "good"}], ("--field", "moody"), "the output of reviews has no field 'moody'"),
        ([{"id": "r000001", "label": "good"}], ("--as", "numbers"), "'good' of the record r000001 is no number"),
        ([{"id": "r000001", "label": "good"}], ("--model", "gpt-4o"), "asks no model in its transform"),
        ([{"id": "r000001", "label": "good"}], ("--export", "out.pdf"), "expected .html, .json or .csv"),
        ([{"id": "r000001", "label": "good"}], ("--as", "colours"), "is none of classes, numbers"),
    ],
)
def test_what_does_not_go_together_is_refused_with_a_sentence(place, loom, rows, options, words):
    local(place)
    labelled(place, rows)
    field = () if "--field" in options else ("--field", "mood")
    done = loom("bench", "run", "pipeline.yaml", "--labels", "labels.csv", *field, *options)
    assert done.code == 2
    assert words in " ".join(done.err.replace("│", " ").split())


def asking(folder, model, **changes):
    transform = {
        "type": "ai",
        "model": "simulated:small",
        "prompt": "What is the mood of {{ input.review }}?",
        "max_tokens": 20,
        "output": OUTPUT,
        **changes,
    }
    made = project(folder, 30, transform=transform)
    made.say(
        providers={"simulated": {"base_url": model.base_url}},
        prices={
            name: {"input": 1.0, "output": price} for name, price in (("simulated:small", 2), ("simulated:big", 20))
        },
    )
    labelled(folder, [{"id": f"r{number:06}", "label": ["good", "bad"][number % 2]} for number in range(30)])
    return made


def test_models_and_prompts_are_compared_and_nothing_is_paid_for_twice(place, loom):
    (place / "short.txt").write_text("Mood of {{ input.review }}")
    command = (
        "bench", "compare", "pipeline.yaml", "--labels", "labels.csv", "--model", "simulated:small", "--model",
        "simulated:big", "--prompt", "short.txt", "--concurrency", "4", "--format", "json", "--export", "out.html",
    )  # fmt: skip
    with served_in_a_thread() as model:
        asking(place, model)
        first = loom(*command)
        assert first.code == 0, first.err
        assert (model.calls, model.most_at_once <= 4) == (60, True)
        again = loom(*command)
        assert model.calls == 60
    small, big = first.report["candidates"]
    assert [each["name"] for each in (small, big)] == ["simulated:small, short.txt", "simulated:big, short.txt"]
    assert (small["price"]["calls"], small["price"]["reused"]) == (30, 0)
    assert 0 < small["price"]["per_thousand"] < big["price"]["per_thousand"]
    assert small["price"]["per_thousand"] == pytest.approx(small["price"]["paid"] / 30 * 1000)
    # The simulated model answers alike under every name, so the dearer one is never worth its price.
    assert (small["on_frontier"], big["on_frontier"]) == (True, False)
    assert big["gain"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert small["latency"]["p50"] > 0
    assert again.report["paid"] == 0
    for before, after in zip(first.report["candidates"], again.report["candidates"], strict=True):
        assert after["price"]["per_thousand"] == pytest.approx(before["price"]["per_thousand"])
        assert (after["latency"], after["classes"]) == (before["latency"], before["classes"])
        assert (after["price"]["calls"], after["price"]["reused"]) == (0, 30)
    assert "Cost and quality" in (place / "out.html").read_text()


def test_a_spent_budget_measures_what_was_paid_for_and_goes_on_with_more(place, loom):
    with served_in_a_thread() as model:
        asking(place, model)
        command = ("bench", "run", "pipeline.yaml", "--labels", "labels.csv", "--format", "json", "--budget")
        whole = loom("cost", "pipeline.yaml", "--estimate", "--format", "json").report["cost"]["total"]
        first = loom(*command, f"{whole * 0.3:.7f}")
        assert first.code == 3, first.err
        (measured,) = first.report["candidates"]
        paid = model.calls
        assert measured["records"] + measured["left_out"] == 30
        assert 0 < measured["records"] == measured["answered"] <= paid < 30
        assert measured["stopped"] == "the budget is spent"
        second = loom(*command, "5")
        assert (second.code, model.calls) == (0, 30)
        assert second.report["candidates"][0]["records"] == 30


def test_evaluators_are_measured_against_verdicts_of_people(place, loom):
    """The evaluator passes three records of four, and people pass those with an odd number."""
    code = "def likes(output, record):\n    return 0.9 if int(output['n']) % 4 else 0.2\n"
    made = project(place, 20, transform={"type": "python", "function": "transforms:likes"}, code=code)
    made.say(
        evaluate={
            "evaluators": [{"type": "python", "name": "likes", "function": "transforms:likes", "threshold": 0.5}],
        }
    )
    labelled(place, [{"id": f"r{number:06}", "n": number} for number in range(20)], "outputs.csv")
    labelled(place, [{"id": f"r{number:06}", "verdict": ["no", "yes"][number % 2]} for number in range(20)])
    done = loom(
        "bench", "score", "pipeline.yaml", "--labels", "labels.csv", "--outputs", "outputs.csv", "--format", "json"
    )
    assert done.code == 0, done.err
    (measured,) = done.report["candidates"]
    assert (done.report["kind"], measured["compared"]) == ("verdicts", "likes")
    assert measured["classes"]["columns"] == ["fail", "pass"]
    assert measured["classes"]["confusion"] == [[5, 5], [0, 10]]
    assert measured["classes"]["kappa"]["value"] == pytest.approx(0.5)
    assert measured["area_under_curve"] == pytest.approx(0.75)
    assert measured["confidence"]["ece"]["value"] == pytest.approx((5 * 0.2 + 15 * (0.9 - 10 / 15)) / 20)
    aimed = loom(
        "bench", "score", "pipeline.yaml", "--labels", "labels.csv", "--outputs", "outputs.csv", "--target",
        "recall=0.7", "--delta", "0.2", "--export", "out.html",
    )  # fmt: skip
    words = (
        "likes: threshold 0.9 holds a recall of 0.7 with a probability of at least 80%; on the labels: precision 0.667"
    )
    assert words in " ".join(aimed.out.split())
    assert words in (place / "out.html").read_text()
    strange = loom("bench", "score", "pipeline.yaml", "--labels", "labels.csv", "--target", "beauty=0.9")
    assert (strange.code, "none of precision=SHARE, recall=SHARE" in " ".join(strange.err.split())) == (2, True)
    refused = loom("bench", "score", "pipeline.yaml", "--labels", "labels.csv", "--evaluator", "hates")
    assert (refused.code, "no evaluator 'hates'; it has likes" in refused.err) == (2, True)


PAGE = list(of_page(ROOT / "docs/benchmarks.md"))


def test_the_commands_of_the_page_do_what_it_shows(place, loom, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    shutil.copytree(ROOT / "examples", place / "examples", ignore=shutil.ignore_patterns("results", ".loom"))
    labelled(place, [{"id": "1_1", "verdict": "pass"}, {"id": "1_2", "verdict": "fail"}], "verdicts.csv")
    commands = [line.split()[1:] for each in PAGE if each.kind == "bash" for line in each.body.splitlines()]
    prices, _ = (each.body for each in PAGE if each.kind == "yaml")
    shown = [
        [" ".join(line.removesuffix("...").split()) for line in each.body.splitlines()]
        for each in PAGE
        if each.kind == ""
    ]
    told = []
    with served_in_a_thread() as model:
        served = {"providers": {"simulated": {"base_url": model.base_url}}}
        (place / "loom.yaml").write_text(f"{prices}\n{json.dumps(served)[1:-1]}\n")
        for command in commands:
            done = loom(*command)
            assert done.code in (0, 3) if command[0] == "run" else done.code == 0, done.err
            told.append(" ".join(done.out.split()))
        assert model.calls == 400
    assert all(line in told[0] for line in shown[0]), told[0]
    assert all(line in told[-1] for line in shown[1]), told[-1]
    assert "Cost and quality" in (place / "results/models.html").read_text()
