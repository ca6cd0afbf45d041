"""Tests that an object of the user's is called by one thread at a time, unless it says otherwise."""

from __future__ import annotations

import asyncio

import pytest

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.worker.context import Context
from loom_transformer.transforms.catalog import Catalog
from support.plans import batch_of, plan_of
from support.scripted_model import ScriptedModel

MODULE = """
import functools, threading, time

met = threading.Barrier(2)

class Counts:
    def __init__(self): self.n = 0
    def count(self, text):
        n = self.n
        time.sleep(0.0005)  # another thread would count from the same number
        self.n = n + 1
        return {"n": n}

class Single(Counts):
    def __call__(self, text): return self.count(text)

class Several(Counts):
    def score(self, texts): return [self.count(text) for text in texts]

class Meets:
    thread_safe = True
    def score(self, texts):
        met.wait(60)
        return [{"n": 0} for _ in texts]

def meets(text):
    met.wait(60)
    return {"n": 0}

def transform(record): return meets(record["text"])

partly = functools.partial(meets)
single = Single()
by_method = single.count
"""


async def _outputs(folder, *transforms, texts="a"):
    """Return what comes out where batches of these transforms are scored at the same time."""
    (folder / "own.py").write_text(MODULE)
    catalog = Catalog(JournalledModels(ScriptedModel(), MemoryJournal()), folder)
    applied = []
    for plan in map(plan_of, transforms):
        batch = batch_of(plan, [{"text": text} for text in texts])
        applied.append(catalog.transform_of(plan).apply("run_1", batch.records, Context()))
    return [outcome.output for outcomes in await asyncio.gather(*applied) for outcome in outcomes]


@pytest.mark.parametrize("scorer", ["own:Single", "own:Several", "own:single", "own:by_method"])
async def test_an_object_is_called_by_one_thread_at_a_time_whichever_pipelines_name_it(tmp_path, scorer):
    ways = [{"type": "scorer", "scorer": scorer, "field": "text", "on_failure": how} for how in ("skip", "quarantine")]
    outputs = await _outputs(tmp_path, *ways * 3, texts="abc")
    assert sorted(each["n"] for each in outputs) == list(range(18))


@pytest.mark.parametrize("scorer", ["own:Meets", "own:meets", "own:partly"])
async def test_functions_and_what_is_safe_are_called_by_several_threads(tmp_path, scorer):
    both = await _outputs(tmp_path, *[{"type": "scorer", "scorer": scorer, "field": "text"}] * 2)
    assert both == [{"n": 0}, {"n": 0}]


async def test_a_function_of_a_transform_is_called_by_several_threads(tmp_path):
    assert await _outputs(tmp_path, *[{"type": "python", "function": "own:transform"}] * 2) == [{"n": 0}, {"n": 0}]
