"""Tests what is said of the figures of a benchmark."""

from __future__ import annotations

from types import SimpleNamespace

from loom.benchmarks.shown.words import unstated_line


def stated(records):
    return SimpleNamespace(name="vader", answered=30, confidence=SimpleNamespace(records=records))


def test_outputs_without_a_probability_are_said_where_confidences_are_measured():
    assert unstated_line(stated(30)) is None
    assert unstated_line(SimpleNamespace(name="vader", answered=30, confidence=None)) is None
    assert unstated_line(stated(29)) == (
        "vader: 1 output has no confidence from 0 to 1; ECE and Brier score are of the other 29."
    )
    assert "vader: 5 outputs have no confidence" in unstated_line(stated(25))
