"""Tests REST destinations against a server: each record once by its key, refused ones with reasons."""

from __future__ import annotations

import asyncio

import pytest

from loom_common.errors import (
    AccessRefused,
    ConfigurationError,
    DependencyUnavailable,
    DestinationError,
    UpstreamTroubled,
)
from loom_connectors.ports.destination import FailedRow, Guarantee, LoadBatch, LoadResult, Row
from support.destinations import batch
from support.rest_clients import AUTH, sending
from support.rest_server import TOKEN, Fault

ROWS = [{"id": number, "text": f"no. {number}"} for number in range(7)]
BATCH = batch(0, *ROWS)


def by_id(rows):
    return sorted(rows, key=lambda row: row["id"])


@pytest.mark.parametrize("options", [{}, {"batch": True}, {"batch": 3}, {"batch": 2, "wrap": "items"}, {"wrap": "row"}])
async def test_a_batch_that_is_loaded_again_is_there_once(api, options):
    for _ in range(2):
        async with sending(f"{api.location}/sink", **options) as destination:
            assert await destination.load(BATCH) == LoadResult(7)
    wanted = [{"row": row} for row in ROWS] if options == {"wrap": "row"} else ROWS
    assert sorted(map(str, api.rows)) == sorted(map(str, wanted))
    assert set(api.keys.values()) == {2}
    assert "" not in api.keys


@pytest.mark.parametrize("fault", [Fault(500, after=True), Fault(cut=True, after=True), Fault(504, after=True)])
@pytest.mark.parametrize("options", [{}, {"batch": True}])
async def test_an_unknown_outcome_is_asked_for_again_with_the_same_key(api, fault, options):
    api.faults = [fault, fault]
    async with sending(f"{api.location}/sink", **options) as destination:
        assert await destination.load(BATCH) == LoadResult(7)
    assert by_id(api.rows) == ROWS
    assert sum(api.keys.values()) == len(api.keys) + 2


async def test_a_replay_sends_the_key_of_the_run_that_first_read_the_record(api):
    def of(run: str, origin: str | None) -> LoadBatch:
        return LoadBatch(run, f"{run}-0", 0, 0, 0, [Row("r1", ROWS[1])], origin)

    async with sending(f"{api.location}/sink") as destination:
        await destination.load(of("run_1", None))
        await destination.load(of("run_2", "run_1"))
        await destination.load(of("run_3", None))
    assert list(api.keys.values()) == [2, 1]


async def test_another_run_has_other_keys(api):
    async with sending(f"{api.location}/sink", batch=True) as destination:
        await destination.load(BATCH)
        await destination.load(batch(0, *ROWS, run="run_2"))
    assert len(api.keys) == 2


def no_three(row):
    return f"no. 3 is known, {TOKEN}" if row["id"] == 3 else None


@pytest.mark.parametrize("options", [{}, {"batch": True}, {"batch": 2}])
async def test_a_refused_record_is_told_with_the_servers_reason_and_its_neighbours_are_loaded(api, options):
    api.refuse = no_three
    for _ in range(2):
        async with sending(f"{api.location}/sink", auth=AUTH["bearer"], **options) as destination:
            result = await destination.load(BATCH)
        reason = f"{api.url}/sink: the server answered 422: no. 3 is known, ***."
        assert result == LoadResult(6, (FailedRow("r0.3", "refused", reason),))
    assert by_id(api.rows) == [row for row in ROWS if row["id"] != 3]


async def test_an_answer_may_say_what_became_of_each_record(api):
    api.refuse = no_three
    results = {"records": "results", "status": "status", "reason": "error.message"}
    async with sending(f"{api.location}/bulk", batch=True, results=results, auth=AUTH["bearer"]) as destination:
        result = await destination.load(BATCH)
    reason = "the server answered 422: no. 3 is known, ***"
    assert result == LoadResult(6, (FailedRow("r0.3", "refused", reason),))


async def test_an_answer_for_each_record_that_nobody_reads_is_told(api):
    async with sending(f"{api.location}/bulk", batch=True) as destination:
        with pytest.raises(DestinationError, match=r"answered 207.*results"):
            await destination.load(BATCH)
    async with sending(f"{api.location}/bulk", batch=True, results={"records": "other"}) as destination:
        with pytest.raises(DestinationError, match="7 records were sent, and `other` of the answer is no list"):
            await destination.load(BATCH)


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_record_goes_to_its_own_address(api, method):
    rows = [{"id": "a/b ?", "n": 1}, {"id": 7, "n": 2}, {"id": "..", "n": 3}, {"id": None}, {"n": 4}]
    async with sending(f"{api.location}/users/{{id}}", method=method, load={"mode": "upsert"}) as destination:
        result = await destination.load(batch(0, *rows))
    assert [row.record_id for row in result.failed] == ["r0.2", "r0.3", "r0.4"]
    assert {row.code for row in result.failed} == {"no_address"}
    assert sorted(path for _, path, _ in api.asked) == ["/users/7", "/users/a%2Fb%20%3F"]


async def test_a_record_that_is_not_there_is_refused_alone(api):
    api.faults = [Fault(404)]
    async with sending(f"{api.location}/users/{{id}}", method="PATCH", concurrency=1) as destination:
        result = await destination.load(BATCH)
    assert [row.record_id for row in result.failed] == ["r0.0"]


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, AccessRefused, r"refused access \(401\). See `load.options.auth`"),
        (403, AccessRefused, r"refused access \(403\)"),
        (404, DestinationError, "answered 404. See `load.destination` and `options.method`"),
        (405, DestinationError, "answered 405"),
        (301, DestinationError, "answered POST with the redirection 301 to http://127.0.0.1"),
        (429, DependencyUnavailable, "asks to slow down"),
        (500, UpstreamTroubled, "answered 500. Gave up after 5 attempts"),
    ],
)
async def test_trouble_of_the_destination_as_a_whole_is_raised(api, status, error, words):
    api.faults = [Fault(status, {"Location": "/other"} if status == 301 else {})] * 200
    async with sending(f"{api.location}/sink") as destination:
        with pytest.raises(error, match=words):
            await destination.load(BATCH)


@pytest.mark.parametrize(("key", "tries"), [("Idempotency-Key", 3), (None, 1)])
async def test_a_conflict_is_waited_for_where_an_earlier_try_may_still_be_underway(api, key, tries):
    api.faults = [Fault(409)] * tries
    async with sending(f"{api.location}/sink", idempotency_key=key) as destination:
        result = await destination.load(batch(0, ROWS[0]))
    assert [row.record_id for row in result.failed] == ["r0.0"]
    api.faults = [Fault(409)] * (tries - 1)
    async with sending(f"{api.location}/sink", idempotency_key=key) as destination:
        assert await destination.load(batch(1, ROWS[1])) == LoadResult(1)


async def test_requests_at_once_are_bounded(api):
    api.slow = True
    async with sending(f"{api.location}/sink", concurrency=3) as destination:
        loading = asyncio.create_task(destination.load(BATCH))
        await asyncio.to_thread(api.reached, 3)
        api.slow = False
        await loading
    assert api.most_at_once == 3


async def test_a_load_that_is_cancelled_leaves_no_request(api):
    api.slow = True
    async with sending(f"{api.location}/sink", concurrency=2) as destination:
        loading = asyncio.create_task(destination.load(BATCH))
        await asyncio.to_thread(api.reached, 2)
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        assert [task for task in asyncio.all_tasks() if "_sent" in str(task)] == []
    api.slow = False


@pytest.mark.parametrize(
    ("path", "options", "guarantee"),
    [
        ("sink", {}, Guarantee.IDEMPOTENCY_KEY),
        ("sink", {"idempotency_key": None}, Guarantee.AT_LEAST_ONCE),
        ("users/{id}", {"method": "PUT"}, Guarantee.UPSERT),
        ("users/{id}", {"method": "PATCH"}, Guarantee.IDEMPOTENCY_KEY),
    ],
)
async def test_it_says_what_it_guarantees(api, path, options, guarantee):
    async with sending(f"{api.location}/{path}", **options) as destination:
        await destination.check()
        assert destination.guarantee is guarantee
        assert await destination.finalize("run_1", complete=True)
        assert await destination.drop("run_1")


@pytest.mark.parametrize(
    ("load", "options", "words"),
    [
        ({"mode": "replace"}, {}, "load.mode: found 'replace'; expected `append` or `upsert`"),
        ({"mode": "upsert"}, {}, "load.options.method: found 'POST' with `mode: upsert`"),
        ({}, {"results": {"records": "x"}}, "load.options.results"),
        ({}, {"batch": 0}, "load.options.batch"),
        ({}, {"batsch": 1}, "Did you mean 'batch'"),
        ({}, {"method": "GET"}, "'POST', 'PUT' or 'PATCH'"),
    ],
)
async def test_mistakes_are_told(api, load, options, words):
    with pytest.raises(ConfigurationError, match=words):
        async with sending(f"{api.location}/sink", load=load, **options):
            pass


async def test_a_list_has_no_address_of_its_own(api):
    with pytest.raises(ConfigurationError, match="the address names the field 'id'"):
        async with sending(f"{api.location}/users/{{id}}", batch=True):
            pass


async def test_a_refused_credential_is_told_before_a_run(api):
    api.auth = "bearer"
    async with sending(f"{api.location}/sink") as destination:
        with pytest.raises(AccessRefused, match="401"):
            await destination.check()
    async with sending(f"{api.location}/sink", auth=AUTH["bearer"]) as destination:
        await destination.check()
    assert api.rows == []
