"""Follows the tutorial word for word, with fewer reviews than it has."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
import sqlite3
from contextlib import closing

import pytest

from loom_ai.simulated.known import read_answers
from support.documents import ROOT, of_page
from support.simulated_model import served_in_a_thread

PAGE = list(of_page(ROOT / "docs/tutorial.md"))
REVIEWS = 300


@pytest.fixture
def reviews(tmp_path):
    """Provide what `loom demo reviews` writes, with some of the reviews."""
    shutil.copytree(ROOT / "examples/customer_sentiment", tmp_path, dirs_exist_ok=True)
    (tmp_path / "loom.yaml").touch()
    file = tmp_path / "data/held_out.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[: REVIEWS + 1]))
    return tmp_path


def test_each_step_of_the_tutorial_is_a_better_one(reviews, loom):
    right, run_id = {}, None
    with served_in_a_thread() as dear:
        for block in PAGE:
            if block.kind in ("python", "yaml"):
                (reviews / block.body.split()[1]).write_text(block.body)
                continue
            for line in block.body.splitlines() if block.kind == "bash" else ():
                program, *words = shlex.split(re.sub(r"run_\w{12}", run_id or "run_243beb9af693", line))
                if (program, words[0]) in {("cd", "reviews"), ("loom", "demo")}:
                    continue
                if words[0] == "simulate-model":
                    options = dict(zip(words[1::2], words[2::2], strict=True))
                    field = dict([options["--field"].split("=")])
                    dear.known = read_answers(
                        reviews / options["--answers"], options["--text"], field, float(options["--right"])
                    )
                    config = f'{{"providers": {{"simulated": {{"base_url": "{dear.base_url}"}}}}}}'
                    (reviews / "loom.yaml").write_text(config)
                    continue
                done = loom(*words)
                assert done.code == 0, f"{line}\n{done.out}{done.err}"
                if words[:2] == ["run", "sure.yaml"]:
                    run_id = re.search(r"run_\w{12}", done.out)[0]
                if "--cascade" in words:
                    cascade = reviews / "cascade.yaml"
                    cascade.write_text(cascade.read_text().replace("# file:", "file:"))
                for name, share in re.findall(
                    rf"^(?:\w+ )?(\S+) +{REVIEWS} +{REVIEWS}  (0\.\d+) \[", done.out, re.MULTILINE
                ):
                    right[name] = float(share)
        asked = dear.answered
    assert right["vader"] < right["models/sentiment/model.onnx"] < right["simulated:dear"], right
    assert right["simulated:dear"] > 0.75
    assert asked <= REVIEWS, "an answer that was paid for when the threshold was chosen is not paid for again"
    with (reviews / "data/held_out.csv").open(newline="") as file:
        said = {row["id"]: row["expected"] for row in csv.DictReader(file)}
    with closing(sqlite3.connect(reviews / "results/reviews.db")) as loaded:
        rows = loaded.execute("SELECT id, sentiment FROM sentiment").fetchall()
    assert 0 < len(rows) < REVIEWS
    assert sum(said[key] == sentiment for key, sentiment in rows) / len(rows) > 0.8
