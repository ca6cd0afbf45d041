"""Tests steps with queues of their own: the same becomes of the records of a batch that goes through several processes,
as JSON, as of one that one process takes through all steps."""

from __future__ import annotations

import pytest

from loom_common.contracts.v1 import BatchFact, BatchTransformed, RecordsQuarantined
from loom_common.domain.steps.graph import graph_of
from loom_common.domain.steps.queued.chains import Chain, chains_of
from support.own_queues import through_queues
from support.stepping import ROUTE, step, through

NUMBERS = [{"n": n} for n in range(5)]
LINES = {"name": "lines", "type": "unnest", "field": "ns", "into": "n", "needs": ["odd"]}
SPLIT = {"name": "parts", "type": "split", "field": "text", "size": 4, "into": "part"}
GATHER = {"name": "all", "type": "gather", "fields": {"kinds": "kind", "parts": "part"}, "needs": ["even", "keep"]}
FAIL = step("three", ["keep"])
KEEP = {"name": "keep", "type": "filter", "where": "n != 1"}
GRAPHS = {
    "a chain": ([step("plus"), step("double", ["plus"]), step("seen", ["double"])], NUMBERS),
    "a filter, and a step that fails": ([KEEP, FAIL, step("double", ["three"]), step("seen", ["double"])], NUMBERS),
    "an optional step that fails": ([step("three", criticality="optional"), step("seen", ["three"])], NUMBERS),
    "branches that join again": (
        [ROUTE, step("odd", ["route.odd"]), step("even", ["route.even"]), step("double", ["route"]),
         step("told", ["odd", "even", "double"])],
        NUMBERS,
    ),
    "steps side by side that both end a record": (
        [step("three"), {**KEEP, "where": "n > 2"}, step("double"), step("seen", ["three", "keep", "double"])], NUMBERS,
    ),
    "records made of others": (
        [step("odd"), LINES, step("three", ["lines"]), step("double", ["three"]), step("seen", ["double"])],
        [{"ns": [1, 3]}, {"ns": []}, {"ns": [5, 4]}],
    ),
    "parts that are gathered again": (
        [step("odd"), {**SPLIT, "needs": ["odd"]}, step("even", ["parts"]),
         {**KEEP, "where": "part != 'drop'", "needs": ["parts"]}, GATHER, step("seen", ["all"])],
        [{"text": "one drop two"}, {"text": "four"}],
    ),
    "a condition": ([step("double", when="n > 2"), step("seen", ["double"], when="n > 3")], NUMBERS),
    "phases": ([step("plus", phase="staging"), step("double", phase="quality"), step("odd")], NUMBERS),
}  # fmt: skip
CASES = [
    (name, own)
    for name, (steps, _) in GRAPHS.items()
    for own in (*((each["name"],) for each in steps if each["type"] == "python"),
                tuple(each["name"] for each in steps if each["type"] == "python"))
]  # fmt: skip


def ends(messages):
    """Return all that is told of a batch, but how long it took, which records go on first of all."""
    (fact,) = [each for each in messages if isinstance(each, BatchFact)]
    timeless = {"seconds", "latency", "waited"}
    steps = sorted((each.model_dump(exclude={"seconds"}) for each in fact.steps), key=lambda each: each["name"])
    kept = [record for each in messages if isinstance(each, RecordsQuarantined) for record in each.records]
    records = [
        (each.id, each.input, list((each.output or {}).items()), each.answered_by, each.derived)
        for message in messages
        if isinstance(message, BatchTransformed)
        for each in message.records
    ]
    told = fact.model_dump(exclude={*timeless, "steps"})
    return records, told, steps, sorted((each.model_dump() for each in kept), key=lambda each: each["record_id"])


@pytest.mark.parametrize(("name", "own"), CASES)
async def test_the_same_becomes_of_records_as_in_one_process(name, own, tmp_path):
    steps, inputs = GRAPHS[name]
    queued = [{**each, "queue": "own"} if each["name"] in own else each for each in steps]
    messages, hops = await through_queues(tmp_path, queued, inputs)
    assert set(hops) - {None} == set(own)
    assert ends(messages) == ends(await through(tmp_path, queued, inputs))


def test_without_a_step_a_batch_comes_over_the_transformers_queue_all_the_same():
    assert chains_of(graph_of([]), ()) == (Chain(()),)
