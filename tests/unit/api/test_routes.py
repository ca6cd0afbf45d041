"""Tests how routes are put into the application, and that each of them is guarded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.routing import Mount, Route

from loom_api import access
from loom_api.access import By, Needs
from loom_common.domain.access import Action, Kind
from loom_migrations.engine import open_engine
from support.api import application

ROOT = Path(__file__).parents[3]
DECIDING = ("services/api/src/loom_api", "services/coordinator/src/loom_coordinator/intake")
"""The folders of what asks whether somebody may do something."""


@pytest.fixture
def built(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine = open_engine(f"sqlite:///{tmp_path}/loom.db")
    return lambda: application(engine)


def test_every_route_stands_in_the_application_as_it_was_built(built):
    routes = built().routes
    assert len(routes) > 60
    assert [each for each in routes if not isinstance(each, Route | Mount)] == []


@pytest.mark.parametrize("listed", ["_API", "_CONSOLE"])
def test_an_application_with_a_route_that_nothing_guards_does_not_start(built, monkeypatch, listed):
    less = dict(getattr(access, listed))
    del less["GET /runs"]
    monkeypatch.setattr(access, listed, less)
    with pytest.raises(AssertionError, match=r"does not say what .*GET.* /(api/v1/)?runs needs"):
        built()


@pytest.mark.parametrize("listed", ["_API", "_CONSOLE"])
def test_nor_does_one_whose_guard_stands_before_no_route(built, monkeypatch, listed):
    more = {**getattr(access, listed), "POST /pipelines/{name}/rename": Needs(By.PIPELINE, Kind.PIPELINES)}
    monkeypatch.setattr(access, listed, more)
    with pytest.raises(AssertionError, match=r"lists POST .*/pipelines/\{name\}/rename, which no route serves"):
        built()


@pytest.mark.parametrize("named", [*Kind, *Action])
def test_whatever_a_policy_may_name_decides_something(named):
    """A word that nothing asks for would be believed to protect something."""
    asks = re.compile(rf"\b{type(named).__name__}\.{named.name}\b")
    files = [file for folder in DECIDING for file in (ROOT / folder).rglob("*.py")]
    assert any(asks.search(file.read_text(encoding="utf-8")) for file in files)
