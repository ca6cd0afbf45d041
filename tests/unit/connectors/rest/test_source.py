"""Tests REST sources against a server: pages of every kind, what ends them, exact JSON, resuming, and mistakes."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.incremental.window import Point
from loom_common.errors import ConfigurationError, SourceError
from loom_connectors.registry import open_source
from support.pieces import read_through
from support.rest_clients import context, reading
from support.rest_server import TOKEN, WAYS, answer_of

NEXT = {"records": "items", "pagination": {"type": "link", "next_url_path": "next"}}
TOTAL = {"records": "data.items", "pagination": {"type": "page", "total_path": "meta.all"}}


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(total=st.integers(0, 40), size=st.integers(1, 9), limit=st.integers(1, 17), way=st.sampled_from(sorted(WAYS)))
async def test_any_number_of_records_in_pages_of_any_size_is_read_once(api, total, size, limit, way):
    path, options = WAYS[way]
    api.records, api.size = [{"id": number} for number in range(total)], size
    async with reading(api.location + path, **options) as source:
        found = await read_through(source, limit)
    assert [record.data for record in found] == api.records
    assert len({record.position for record in found}) == total


@pytest.mark.parametrize("way", WAYS)
async def test_another_process_goes_on_from_any_cursor(api, way):
    path, options = WAYS[way]
    async with reading(api.location + path, **options) as source:
        whole = await read_through(source)
        page = await source.read(None, 7)
    for taken in (7, 10, 22):
        async with reading(api.location + path, **options) as other:
            cursor = json.loads(json.dumps(page.cursor))
            rest = await other.read(cursor, taken)
        assert list(rest.records) == whole[7 : 7 + taken]


async def test_a_page_is_asked_for_once_while_its_records_are_read(api):
    async with reading(f"{api.location}/page", records="data.items", pagination="page") as source:
        await read_through(source, 2)
    assert len(api.asked) == 6


async def test_a_run_after_another_reads_anew(api):
    api.size = 30
    async with reading(f"{api.location}/link") as source:
        assert len(await read_through(source, 10)) == 23
        api.records = [{"id": -number} for number in range(23)]
        assert [record.data for record in await read_through(source, 10)] == api.records


@pytest.mark.parametrize(
    ("body", "options", "words"),
    [
        (answer_of([]), {}, "the answer is no list; the answer is an object with data, meta. Name the list in"),
        (answer_of([]), {"records": "data.item"}, "`data.item` names no list"),
        (b"[1, 2", {}, r"answered 200 with no JSON .*it begins with '\[1, 2'"),
        (b"<html>", {}, "with no JSON"),
        (answer_of([{}]), TOTAL, "no number"),
        (
            answer_of([{}]),
            {"records": "data.items", "pagination": {"type": "cursor", "cursor_path": "data"}},
            "neither a text nor a number",
        ),
        (
            answer_of([{}]),
            {"records": "data.items", "pagination": {"type": "offset", "has_more_path": "meta"}},
            "neither true nor false",
        ),
        (b'{"items": [{}], "next": 5}', NEXT, "is no address"),
        (b'{"items": [{}], "next": "http://x/\\ud800"}', NEXT, "half a surrogate pair"),
        (
            b'{"items": [{}], "next": "\\ud800"}',
            {"records": "items", "pagination": {"type": "cursor", "cursor_path": "next"}},
            "half a surrogate pair",
        ),
        (b'{"items": [{}], "next": "ftp://x/"}', NEXT, "is no address"),
        (b"[" + b" " * 5000 + b"]", {"max_page_bytes": 2000}, "larger than 2,000 bytes. Ask for smaller pages"),
    ],
)  # fmt: skip
async def test_an_answer_that_is_no_page_is_told(api, body, options, words):
    api.raw = body
    async with reading(f"{api.location}/x", **options) as source:
        with pytest.raises(SourceError, match=words):
            await read_through(source)


@pytest.mark.parametrize("body", [b'{"items": null}', b'{"items": []}'])
async def test_no_records_are_no_mistake(api, body):
    api.raw = body
    async with reading(f"{api.location}/x", records="items", pagination="page") as source:
        assert await read_through(source) == []
        assert await source.fields() is None


async def test_an_answer_without_the_list_may_count_as_empty(api):
    api.raw = b"{}"
    async with reading(f"{api.location}/x", records="items", missing_records="empty") as source:
        assert await read_through(source) == []


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (b'{"items": [{"a": 1}], "next": "again"}', {"pagination": {"type": "cursor", "cursor_path": "next"}}),
        (b'{"items": [{"a": 1}], "next": "/x?p=1"}', {"pagination": {"type": "link", "next_url_path": "next"}}),
    ],
)
async def test_a_cursor_that_comes_again_is_told(api, body, options):
    api.raw = body
    async with reading(f"{api.location}/x", records="items", **options) as source:
        with pytest.raises(SourceError, match=r"/x, page 2: what follows is a page that was read before"):
            await read_through(source)


async def test_a_circle_of_pages_is_told_in_whatever_slices_it_is_read(api):
    names = {None: "a", "a": "b", "b": "c", "c": "d", "d": "b"}
    options = {"records": "items", "pagination": {"type": "cursor", "cursor_path": "next"}}
    cursor = None
    async with reading(f"{api.location}/circle", **options) as source:
        with pytest.raises(SourceError, match="never end"):
            for _ in range(20):
                name = names[cursor and cursor["at"]]
                api.raw = json.dumps({"items": [{"id": 1}], "next": name}).encode()
                cursor = (await source.read(cursor, 1)).cursor


async def test_a_server_that_does_not_know_the_parameter_of_pages_is_told(api):
    api.raw = b'{"items": [{"a": 1}, {"a": 2}]}'
    async with reading(f"{api.location}/x", records="items", pagination="page") as source:
        with pytest.raises(SourceError, match=r"page 2 has the same records as the page before it.*pagination"):
            await read_through(source)


async def test_numbers_are_exact_and_a_bad_item_costs_one_record(api):
    api.raw = (
        b'{"n": 12345678901234567890, "items": [{"id": 123456789012345678901234567890, "x": 0.1}, {"a": 1, "a": 2}, 7,'
        b' {"text": "\\ud800"}, {"x": 0.12345678901234567890123}, {"text": "\xff"}, {"id": 2, "deep": '
        + b"[" * 120 + b"]" * 120 + b'}, {"ok": "\\ud83d\\ude00"}]}'
    )  # fmt: skip
    async with reading(f"{api.location}/x", records="items") as source:
        found = await read_through(source)
    codes = [record.error.code if record.error else None for record in found]
    assert codes == [
        None, "duplicate_name", "bad_json", "bad_unicode", "inexact_number", "bad_unicode", "nested_too_deeply", None
    ]  # fmt: skip
    assert found[0].data == {"id": 123456789012345678901234567890, "x": 0.1}
    assert found[7].data == {"ok": "😀"}
    assert str(found[1].error).endswith("/x page 1 item 2: an object has two members that are called 'a'.")
    assert found[4].data == {"raw": '{"x":0.12345678901234567890123}'}


async def test_parameters_of_the_run_and_of_the_location_are_sent(api):
    async with reading(f"{api.location}/page?a=b", records="data.items", params={"n": [1, 2], "f": True}) as source:
        await source.check()
    assert api.asked[0][1] == "/page?a=b&n=1&n=2&f=true"


async def test_a_parameter_that_there_is_not_is_told(api):
    with pytest.raises(ConfigurationError, match=r"\{\{ day \}\}, which names no parameter"):
        async with reading(f"{api.location}/x", params={"day": "{{ day }}"}):
            pass


@pytest.mark.parametrize(
    ("point", "form", "sent"),
    [
        (Point(kind="time", text="2024-01-02T03:04:05+00:00"), None, "2024-01-02T03%3A04%3A05Z"),
        (Point(kind="time", text="2024-01-02T03:04:05+00:00"), "%Y-%m-%d", "2024-01-02"),
        (Point(kind="number", text="20240102"), None, "20240102"),
    ],
)
async def test_the_mark_of_incremental_extraction_is_sent_with_the_first_request(api, point, form, sent):
    options = {"start_param": "updated_since", "start_format": form}
    config = ExtractConfig(source=f"{api.location}/link", key="id", incremental="at", options=options)
    source = open_source(config, context(start=point))
    await source.read(None, 5)
    await source.close()
    assert api.asked[0][1] == f"/link?updated_since={sent}"


@pytest.mark.parametrize(
    ("extract", "options", "words"),
    [
        ({"query": "SELECT 1"}, {}, "none for a REST API"),
        ({}, {"start_param": "since"}, "expected `extract.incremental`"),
        ({}, {"pagination": "curser"}, "the unknown type 'curser'.*Did you mean 'cursor'"),
        ({}, {"pagination": {"type": "cursor"}}, "expected `cursor_path` or `cursor_header`"),
        ({}, {"auth": {"type": "bearer", "token": TOKEN}}, "auth.token: found a text in clear"),
        ({}, {"headers": {"Authorization": f"Bearer {TOKEN}"}}, "headers: found a text in clear"),
        ({}, {"params": {"api_key": TOKEN}}, "params: found a text in clear"),
        ({}, {"records": "a..b"}, "a path such as"),
        ({}, {"pagination": {"type": "page", "location": "body"}}, "`method: POST` where something is sent"),
    ],
)
async def test_mistakes_are_told_without_what_is_secret(api, extract, options, words):
    with pytest.raises(ConfigurationError, match=words) as raised:
        async with reading(f"{api.location}/x", extract=extract, **options):
            pass
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("location", ["rest://host/x", "rest+ftp://host/x", "rest+https:///x", "rest+http://host:no/x"])
async def test_what_is_no_address_is_told(location):
    with pytest.raises(ConfigurationError, match="expected rest\\+https://host/path"):
        async with reading(location):
            pass
