"""Tests registered steps that are given all records of a batch together."""

from __future__ import annotations

import asyncio

import pytest

from loom_ai.answers.shape import Shape
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.errors import DependencyUnavailable, WorkerWornOut
from loom_common.user_code.threads import Threads
from loom_common.worker.context import Context
from loom_transformer.scoring.bounds import Bounds
from loom_transformer.steps.together import Together

RECORDS = [ExtractedRecord(id=name, input={"size": size}) for name, size in (("a", 3), ("b", 1), ("c", 2))]


def ranked(records):
    sizes = sorted(each["size"] for each in records)
    return [{"rank": sizes.index(each["size"])} for each in records]


async def awaited(records):
    await asyncio.sleep(0)
    return ranked(records)


async def outcomes(function, records=RECORDS, shape=None, bounds=None):
    return await Together("ranked", function, shape, bounds).apply("r1", records, Context())


@pytest.mark.parametrize("function", [ranked, awaited])
async def test_the_step_sees_all_records_of_the_batch_at_once(function):
    assert [each.output for each in await outcomes(function)] == [{"rank": 2}, {"rank": 0}, {"rank": 1}]
    assert await outcomes(function, []) == []


async def test_what_it_does_to_its_records_changes_none():
    def changing(records):
        for each in records:
            each["size"] = None
        return [{} for _ in records]

    await outcomes(changing)
    assert [each.input["size"] for each in RECORDS] == [3, 1, 2]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda records: [{}], "returned 1 outputs for 3 records"),
        (lambda records: {"rank": 1}, "returned dict, not a list for 3 records"),
        (lambda records: 1 / 0, "raised ZeroDivisionError"),
    ],
)
async def test_a_call_that_fails_fails_every_record_and_is_not_made_for_each_alone(function, words):
    calls = []

    def counted(records):
        calls.append(len(records))
        return function(records)

    found = await outcomes(counted)
    assert calls == [3]
    assert all(words in str(each.error) and each.output is None for each in found)


async def test_an_output_that_does_not_fit_is_the_error_of_its_record_alone():
    found = await outcomes(lambda records: [{"rank": 1}, {"rank": "x"}, None], shape=Shape({"rank": "integer"}))
    assert [each.output for each in found] == [{"rank": 1}, None, None]
    assert found[1].error.code == "invalid_output"
    assert "returned NoneType" in str(found[2].error)


async def test_what_is_said_of_more_than_a_record_goes_on_upwards():
    def away(records):
        raise DependencyUnavailable("the store of statistics is away")

    with pytest.raises(DependencyUnavailable):
        await outcomes(away)


async def test_a_call_that_does_not_come_back_fails_its_records():
    async def endless(records):
        await asyncio.sleep(3600)

    found = await outcomes(endless, bounds=Bounds(seconds=0.05))
    assert {each.error.code for each in found} == {"timeout"}


async def test_where_no_thread_is_left_the_whole_batch_is_what_hangs():
    threads = Threads(limit=0)
    with pytest.raises(WorkerWornOut) as worn:
        await outcomes(ranked, bounds=Bounds(threads))
    assert list(worn.value.hung) == RECORDS
