"""Everything that is the pipeline's own runs under a limit, and what it says or raises is one record's: the same
embedded and on RabbitMQ."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from loom import Loom
from loom.api import RunResult
from loom_dev.waiting import patience
from support.books import assert_balanced
from support.projects import ai, project, python
from support.simulated_model import SimulatedModel

RECORDS = 40
CODE = '''
"""What does not come back, does not go away, or cannot be shown, each for one review."""

import asyncio
import sys
import time


class Hostile(Exception):
    def __str__(self):
        raise SystemExit("not even its text")


def tried(number):
    match number:
        case 1:
            raise SystemExit("leaves")
        case 2:
            raise KeyboardInterrupt
        case 3:
            raise ValueError("bad \\ud800 and \\x00")
        case 4:
            raise Hostile
        case 5:
            raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])
        case 6:
            return tried(number)
        case 7:
            while True:
                pass
        case 8:
            raise ValueError("x" * 5_000_000)
        case 9:
            sys.exit()


def number_of(record):
    return int(record["id"][1:])


def judged(record):
    tried(number_of(record))
    return {"label": "half \\ud83d" if number_of(record) == 10 else "fine"}


async def judged_later(record):
    if number_of(record) == 11:
        raise asyncio.CancelledError
    if number_of(record) == 12:
        await asyncio.sleep(1000)
    await asyncio.sleep(0)
    return judged(record)


def scored(output, record):
    tried(number_of(record) - 20)
    return (1.0, "a half \\ud83d and a \\x00")


async def scored_later(output, record):
    await asyncio.sleep(0)
    return scored(output, record)
'''
RAISED = {
    1: "SystemExit: leaves",
    2: "KeyboardInterrupt",
    3: "ValueError: bad \ufffd and \ufffd",
    4: "Hostile: (Hostile, which cannot be shown",
    5: "ValueError: one; KeyError: 'two'",
    6: "RecursionError",
    7: "s",  # it did not come back within its time
    8: "ValueError: xxx",
    9: "SystemExit",
}


@pytest.fixture
def places(request, tmp_path) -> tuple[Path, Path, bool]:
    """Provide a pipeline's folder, the configuration, and whether a cluster carries it out."""
    if request.param == "embedded":
        (tmp_path / "loom.yaml").touch()
        return tmp_path / "p", tmp_path / "loom.yaml", False
    cluster = request.getfixturevalue("cluster")
    return cluster.project / request.node.name.replace("[", "_").strip("]"), cluster.project / "loom.yaml", True


async def ran(places: tuple[Path, Path, bool], **sections: Any) -> tuple[RunResult, dict[str, str]]:
    """Return the run, and the reason of each record that was kept back."""
    folder, loom_yaml, cluster = places
    made = project(folder, RECORDS, destination="out.jsonl", code=CODE, extract={"batch_size": 20}, **sections)
    made.say(timeouts={"record": "2s"})
    loom = Loom(loom_yaml)
    result = await loom.run_pipeline(loom.load_pipeline(made.pipeline), cluster=cluster)
    assert_balanced(result.report.model_dump())
    kept = await loom.get_quarantined_records(run_id=result.run_id, limit=RECORDS)
    assert len(await made.loaded()) == RECORDS - len(kept)
    return result, {record["record_id"]: record["failure_reason"] for record in kept}


@pytest.mark.parametrize("function", ["judged", "judged_later"])
@pytest.mark.parametrize("places", ["embedded", "cluster"], indirect=True)
async def test_whatever_a_function_raises_or_does_not_come_back_from_is_its_records_own(places, function):
    _, reasons = await ran(places, transform=python(f"transforms:{function}"))
    later = {11, 12} if function == "judged_later" else set()
    assert set(reasons) == {f"r{number:06}" for number in {*RAISED, 10} | later}
    for number, words in RAISED.items():
        assert words in reasons[f"r{number:06}"]


@pytest.mark.parametrize("function", ["scored", "scored_later"])
@pytest.mark.parametrize("places", ["embedded", "cluster"], indirect=True)
async def test_whatever_an_evaluator_raises_or_says_is_its_records_own(places, function):
    evaluator = {"name": "own", "type": "python", "function": f"transforms:{function}", "threshold": 0.5}
    evaluate = {"evaluators": [evaluator], "quality_gate": "all_pass"}
    _, reasons = await ran(places, evaluate=evaluate)
    assert set(reasons) == {f"r{number + 20:06}" for number in RAISED}
    for number, words in RAISED.items():
        assert words in reasons[f"r{number + 20:06}"]


@pytest.mark.parametrize("places", ["embedded", "cluster"], indirect=True)
async def test_a_pattern_that_tries_for_ever_is_its_records_own(places):
    evaluator = {"name": "shape", "type": "regex", "field": "review", "pattern": "^(?:x|xx)+$|Plain", "threshold": 0.5}
    evaluate = {"evaluators": [evaluator], "quality_gate": "all_pass"}
    rows = [{"id": f"r{n:06}", "review": "Plain" if n else "x" * 60 + "!", "stars": "1"} for n in range(RECORDS)]
    folder, loom_yaml, cluster = places
    made = project(folder, rows, destination="out.jsonl", evaluate=evaluate)
    loom = Loom(loom_yaml)
    began = time.monotonic()
    result = await loom.run_pipeline(loom.load_pipeline(made.pipeline), cluster=cluster)
    assert time.monotonic() - began < patience(60.0)
    (kept,) = await loom.get_quarantined_records(run_id=result.run_id)
    assert (kept["record_id"], result.report.records["loaded"]) == ("r000000", RECORDS - 1)
    assert "took longer than" in kept["failure_reason"]


@pytest.mark.parametrize("places", ["embedded"], indirect=True)
async def test_a_prompt_that_loops_for_ever_is_its_records_own(places, model: SimulatedModel):
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    prompt = "{% if input.id == 'r000003' %}" + endless + "{% endif %}The mood of {{ input.review }}?"
    _, reasons = await ran(places, transform=ai(model.base_url, prompt=prompt))
    assert set(reasons) == {"r000003"}
    assert "The prompt was not rendered within 2 s" in reasons["r000003"]
