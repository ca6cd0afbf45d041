"""Tests how routes are put into the application."""

from __future__ import annotations

from starlette.routing import Mount, Route

from loom_migrations.engine import open_engine
from support.api import application


def test_every_route_stands_in_the_application_as_it_was_built(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    routes = application(open_engine(f"sqlite:///{tmp_path}/loom.db")).routes
    assert len(routes) > 60
    assert [each for each in routes if not isinstance(each, Route | Mount)] == []
