"""Tests lookups in a REST API: addresses, what an answer means, and what is tried again."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest

from loom_common.domain.definition.transforms.enrich import EnrichTransformConfig
from loom_common.errors import AccessRefused, DependencyUnavailable, InvalidDefinition, LookupFailed, RecordError
from loom_connectors.lookups.opening import open_lookup
from support.rest_clients import AUTH, context
from support.rest_server import TOKEN, Fault


@asynccontextmanager
async def looking(api, path="/find/{{ input.id }}", fields=("name",), record=None, clock=None, **options):
    """Open a lookup, and close it."""
    fields = list(fields) if isinstance(fields, tuple) else fields
    config = EnrichTransformConfig(type="enrich", url=api.url + path, fields=fields, record=record, options=options)
    opened = open_lookup(config, context(clock))
    try:
        yield opened
    finally:
        await opened.close()


async def test_each_key_is_asked_for_in_its_own_address_whatever_characters_it_has(api):
    api.found = {"7": (200, {"name": "Ada"}), "a/b?c=ä": (200, {"name": "Odd"})}
    async with looking(api) as lookup:
        assert list(await lookup.find([(7,), ("a/b?c=ä",), ("none",)])) == [{"name": "Ada"}, {"name": "Odd"}, None]
    async with looking(api, "/find?key={{ input['the id'] }}&all=1", params={"lang": "en"}) as lookup:
        assert list(await lookup.find([("a/b?c=ä",)])) == [{"name": "Odd"}]
    assert {path.partition("?")[0] for _, path, _ in api.asked[:3]} == {
        "/find/7",
        "/find/a%2Fb%3Fc%3D%C3%A4",
        "/find/none",
    }
    assert api.asked[3][1] == "/find?all=1&lang=en&key=a%2Fb%3Fc%3D%C3%A4"


async def test_a_key_that_cannot_stand_in_an_address_is_refused_alone(api):
    async with looking(api) as lookup:
        dots, empty, there = await lookup.find([("..",), ("",), (True,)])
    assert [error.code for error in (dots, empty)] == ["lookup_key", "lookup_key"]
    assert (there, [path for _, path, _ in api.asked]) == (None, ["/find/true"])


async def test_fields_are_found_by_their_paths_and_a_list_of_one_is_that_one(api):
    api.found = {
        "1": (200, {"data": [{"who": {"name": "Ada"}, "n": 12345678901234567890123, "none": None}]}),
        "none": (200, {"data": []}),
        "two": (200, {"data": [{}, {}]}),
        "other": (200, {"data": [{"x": 1}]}),
        "null": (200, {"data": None}),
        "text": (200, {"data": ["Ada"]}),
    }
    fields = {"name": "who.name", "n": "n", "gone": "where"}
    async with looking(api, fields=fields, record="data") as lookup:
        ada, none, two, other, null, text = await lookup.find([(each,) for each in api.found])
    assert ada == {"name": "Ada", "n": 12345678901234567890123, "gone": None}
    assert (none, null) == (None, None)
    assert [each.code for each in (two, other)] == ["several_found", "lookup_answer"]
    assert "none of who.name, n, where; it is an object with x" in str(other)
    assert isinstance(text, RecordError)


async def test_a_server_that_is_away_is_tried_again_and_then_waited_for(api):
    api.found = {"1": (200, {"name": "Ada"})}
    api.faults = [Fault(503), Fault(cut=True)]
    async with looking(api) as lookup:
        assert list(await lookup.find([(1,)])) == [{"name": "Ada"}]
    api.faults = [Fault(503)] * 2
    async with looking(api, attempts=2) as lookup:
        with pytest.raises(DependencyUnavailable, match="Gave up after 2 attempts"):
            await lookup.find([(1,)])


async def test_a_refused_record_is_alone_and_refused_access_is_not(api):
    api.found = {"1": (422, {"message": f"bad {TOKEN}"}), "2": (200, {"name": "Ada"})}
    async with looking(api, auth=AUTH["bearer"]) as lookup:
        refused, found = await lookup.find([(1,), (2,)])
    assert (refused.code, found) == ("lookup_refused", {"name": "Ada"})
    assert "bad ***" in str(refused)
    api.auth = "bearer"
    async with looking(api) as lookup:
        with pytest.raises(AccessRefused, match="auth"):
            await lookup.find([(1,)])
    async with looking(api, auth=AUTH["bearer"]) as lookup:
        assert (await lookup.find([(2,)]))[0] == {"name": "Ada"}


async def test_an_answer_that_is_no_json_fails_the_run(api):
    api.raw = b"<html>"
    async with looking(api, "/other/{{ input.id }}", attempts=2) as lookup:
        with pytest.raises(LookupFailed, match="no JSON"):
            await lookup.find([(1,)])


async def test_so_many_requests_are_made_at_once_and_the_server_is_reached_by_a_check(api):
    async with looking(api, concurrency=3) as lookup:
        await lookup.check()
        await lookup.find([(each,) for each in range(20)])
    assert (api.asked[0][:2], api.most_at_once <= 3, len(api.asked)) == (("OPTIONS", "/find/"), True, 21)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"options": {"auht": "bearer"}}, "the unknown key 'auht'"),
        ({"record": "a..b"}, "a path such as"),
        ({"options": {"headers": {"Authorization": "x"}}}, "a credential reference"),
    ],
)
def test_options_that_do_not_fit_are_told(changes, expected):
    config = {"type": "enrich", "url": "https://api.example.com/{{ input.id }}", "fields": ["name"], **changes}
    with pytest.raises(InvalidDefinition, match=expected):
        open_lookup(EnrichTransformConfig.model_validate(config), context())
