"""Follows the tutorial of a first pipeline word for word, with fewer reviews than it has, and a budget that is as much
smaller."""

from __future__ import annotations

import csv
import json
import shlex
import shutil

from loom_ai.simulated.known import read_answers
from support.documents import ROOT, of_page
from support.simulated_model import served_in_a_thread

PAGE = list(of_page(ROOT / "docs/first-pipeline.md"))
REVIEWS = 300


def test_a_pipeline_is_made_from_nothing_judged_stopped_by_its_budget_tested_and_scheduled(tmp_path, loom):
    file = tmp_path / "loom-demo/data/reviews.csv"
    file.parent.mkdir(parents=True)
    with (ROOT / "examples/customer_sentiment/data/reviews.csv").open() as whole:
        file.write_text("".join(line for line, _ in zip(whole, range(REVIEWS + 1), strict=False)))
    ended = {}
    with served_in_a_thread() as model:
        for block in PAGE:
            if block.kind == "yaml":
                _write(tmp_path, block.body.replace("cost_budget: 0.05", "cost_budget: 0.003"))
                continue
            for line in block.body.splitlines() if block.kind == "bash" else ():
                words = shlex.split(line)[1:]
                if words == ["demo"] or line == "cd reviews":
                    continue
                if words[0] == "simulate-model":
                    _answer(model, tmp_path, dict(zip(words[1::2], words[2::2], strict=True)))
                    continue
                done = ended[line] = loom(*words)
                assert done.code == (3 if line == "loom run pipeline.yaml" else 0), f"{line}\n{done.out}{done.err}"
                if words[0] == "init":  # the folder of the test is that of the project
                    shutil.copytree(tmp_path / "reviews", tmp_path, dirs_exist_ok=True)
                    shutil.rmtree(tmp_path / "reviews")
        asked = model.answered
    paused, resumed = ended["loom run pipeline.yaml"], ended["loom resume latest --budget 1"]
    assert "budget_exhausted" in paused.err
    assert "succeeded" in resumed.out
    with (tmp_path / "results/answers.csv").open(newline="") as loaded:
        rows = list(csv.DictReader(loaded))
    with file.open(newline="") as source:
        said = {row["id"]: row["expected"] for row in csv.DictReader(source)}
    assert REVIEWS / 2 < len(rows) < REVIEWS, "four of five are right"
    assert all(said[row["id"]] == row["sentiment"] for row in rows)
    assert asked <= REVIEWS + 1, "what a sample and a paused run have paid for is not paid for again"
    assert (tmp_path / "tests/cassettes/reviews.json").exists()
    assert "0 calls to models" in ended["loom test"].out + ended["loom test"].err
    assert "0 6 * * mon-fri" in ended['loom schedule reviews --cron "0 6 * * mon-fri"'].out


def _write(project, body: str) -> None:
    """Write a block into the file that it names; one that goes on with a file is added to it."""
    first, rest = body.split("\n", 1)
    file = project / first.removeprefix("# ").split(",")[0]
    file.parent.mkdir(exist_ok=True)
    file.write_text(file.read_text() + rest if "from here on" in first else rest)


def _answer(model, project, options: dict[str, str]) -> None:
    """Let the model answer as the options say, and the project find it."""
    field = dict([options["--field"].split("=")])
    model.known = read_answers(project / options["--answers"], options["--text"], field, float(options["--right"]))
    config = project / "loom.yaml"
    config.write_text(f"{config.read_text()}\nproviders: {json.dumps({'simulated': {'base_url': model.base_url}})}\n")
