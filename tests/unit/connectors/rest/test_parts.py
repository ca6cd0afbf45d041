"""Tests the pure parts of the REST connector: paths in JSON, the header `Link`, places, and addresses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_connectors.rest.http.address import joined, lacking, with_query, without
from loom_connectors.rest.http.json_path import MISSING, JsonPath, NoPath
from loom_connectors.rest.reading.pagination import next_link
from loom_connectors.rest.reading.place import Circle, Place

DOCUMENT = {"data": {"items": [{"id": 1}, {"id": 2}], "a.b": {"c": 3}, "x/y": 4}, "": 5}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("", DOCUMENT),
        ("$", DOCUMENT),
        ("data.items", DOCUMENT["data"]["items"]),
        ("$.data.items[*]", DOCUMENT["data"]["items"]),
        ("data.items[0].id", 1),
        ("data.items[-1].id", 2),
        ("data['a.b'].c", 3),
        ('$["data"]["x/y"]', 4),
        ("/data/x~1y", 4),
        ("/data/items/1/id", 2),
        ("/", 5),
        ("data.items[2].id", MISSING),
        ("data.none.further", MISSING),
        ("data.items.id", MISSING),
    ],
)
def test_a_path_names_a_value(path, value):
    assert JsonPath.of(path).find(DOCUMENT) == value


@pytest.mark.parametrize("path", ["a..b", "a.", "$..items", "items[", "items[x]", "a[0]b", "*", "a b]"])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(NoPath):
        JsonPath.of(path)


@pytest.mark.parametrize(
    ("headers", "link"),
    [
        (['<https://a/x?p=2>; rel="next"'], "https://a/x?p=2"),
        (['<https://a/x?p=1,2>; rel="prev", <https://a/x?p=3,4>; rel=next; title="a, <b>"'], "https://a/x?p=3,4"),
        (["</a>; rel=prev", "</b>; title=t; rel=NEXT"], "/b"),
        (['</a>; rel="last next"'], "/a"),
        (['</a>; rel="nextish"'], None),
        (['</a>; title="rel=next"'], None),
        (["</a>"], None),
        (["nothing"], None),
        ([], None),
    ],
)
def test_the_next_link_is_that_of_rfc_8288(headers, link):
    assert next_link(headers) == link


@given(before=st.integers(0, 40), length=st.integers(1, 40))
def test_pages_that_lead_in_a_circle_are_noticed_soon(before, length):
    """A cursor of constant size is enough for this."""
    place = Place.of(None)
    with pytest.raises(Circle):
        for at in range(1, 4 * (before + length) + 4):
            number = at if at < before else before + (at - before) % length
            place = Place.of(place.next(f"page {number}", 1, "").cursor)


@given(st.integers(1, 300))
def test_pages_that_end_are_no_circle(pages):
    place = Place.of(None)
    for at in range(pages):
        place = Place.of(place.next(at, 1, "").cursor)
    assert (place.page, place.seen) == (pages + 1, pages)


def test_parameters_are_added_and_taken_away():
    url = with_query("https://a/x?b=1", [("c", "2 3"), ("c", "ä")])
    assert url == "https://a/x?b=1&c=2+3&c=%C3%A4"
    assert without(url, ["2 3"], ["b"]) == "https://a/x?c=%C3%A4"
    assert without("https://a/x?q=a%20b&k=s&flag", ["s"], []) == "https://a/x?q=a%20b&flag"
    assert lacking(url, [("b", "x"), ("d", "y")]) == [("d", "y")]


def test_links_are_relative_to_the_address():
    assert joined("https://a/b/c", "d?e=1") == "https://a/b/d?e=1"
    assert joined("https://a/b/c", "//other/x") == "https://other/x"
    for wrong in ("ftp://a/x", "javascript:alert(1)", "https://a:b/"):
        with pytest.raises(ValueError, match=r".*"):
            joined("https://a/b/c", wrong)
