"""Tests that the definition of a run is read once."""

from __future__ import annotations

from loom_coordinator.accounting import tallies
from support.run_rows import a_run

WRITTEN = {
    "name": "reviews",
    "extract": {"source": "a.csv"},
    "transform": {"type": "passthrough"},
    "load": {"destination": "b.csv", "max_failures": 3},
}


def test_the_definition_of_a_run_is_read_once_and_that_of_another_run_is_its_own(monkeypatch):
    read = []
    parse = tallies.parse
    monkeypatch.setattr(tallies, "parse", lambda written: read.append(written) or parse(written))
    monkeypatch.setattr(tallies, "_read", type(tallies._read)(2))
    other = {**WRITTEN, "load": {"destination": "b.csv", "max_failures": 4}}
    found = [tallies.definition(a_run(definition=each)).load.max_failures for each in (WRITTEN, other, WRITTEN, other)]
    assert found == [3, 4, 3, 4]
    assert len(read) == 2
