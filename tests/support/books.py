"""Checks what must hold of a run, whatever happened to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from support.projects import ids

ENDS = ("filtered", "unnested", "grouped", "loaded", "rejected", "skipped", "quarantined", "cancelled")


def assert_balanced(report: Mapping[str, Any]) -> None:
    """Every record that was extracted came to exactly one end."""
    records = report["records"]
    assert records["extracted"] + records["derived"] == sum(records[end] for end in ENDS), records


def assert_complete(report: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], expected: Iterable[str]) -> None:
    """The run succeeded, its books balance, and the destination holds exactly the expected records, each once."""
    assert (report["status"], report["error"]) == ("succeeded", None), (report["status"], report["error"])
    assert_balanced(report)
    found, wanted = ids(rows), sorted(expected)
    twice = sorted({each for each in found if found.count(each) > 1}) if len(set(found)) < len(found) else []
    assert not twice, f"loaded more than once: {twice[:10]}"
    assert found == wanted, f"missing {sorted(set(wanted) - set(found))[:10]}, extra {set(found) - set(wanted)}"
    assert report["records"]["loaded"] == len(wanted)
