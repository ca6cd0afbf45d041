"""Tests that an object is known to be the same, however a store writes its tag."""

from __future__ import annotations

import datetime as dt

import pytest

from loom_connectors.storage.objects.files import _state


def told(tag):
    """Return what a store tells of an object."""
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return {"path": "a.csv", "size": 3, "last_modified": moment, "e_tag": tag, "version": None}


@pytest.mark.parametrize(("listed", "asked_for"), [("0x8D", '"0x8D"'), ('"5d41"', '"5d41"'), ('W/"1"', 'W/"1"')])
def test_an_object_is_the_same_whether_it_is_listed_or_asked_for(listed, asked_for):
    assert _state(told(listed)) == _state(told(asked_for))
    assert _state(told(listed)).tag == asked_for
