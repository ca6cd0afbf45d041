"""Reads what `loom run` tells of bad input: a refusal, a failed run, or the records that it kept back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.books import assert_balanced
from support.command import Ended

JSON = ("--format", "json")
Loom = Callable[..., Ended]
"""Runs `loom ...` with these arguments."""


def refused(loom: Loom, *arguments: str) -> str:
    """Return what a command that cannot begin says; the command is `loom run` unless `arguments` are given."""
    told = loom(*(arguments or ("run", "pipeline.yaml")))
    assert (told.code, told.out) == (2, ""), told
    assert "Traceback" not in told.err
    return told.err


def failed(loom: Loom) -> str:
    """Return the error of a run that began and could not go on."""
    told = loom("run", "pipeline.yaml", *JSON)
    assert told.code == 1, told
    assert "Traceback" not in told.err
    assert_balanced(told.report)
    assert told.report["status"] == "failed"
    return str(told.report["error"])


def kept(loom: Loom, *, loaded: int) -> list[dict[str, Any]]:
    """Return the records that a run kept back while it loaded `loaded` others; a run that loaded none failed."""
    told = loom("run", "pipeline.yaml", *JSON)
    assert told.code == (0 if loaded else 1), told
    assert "Traceback" not in told.err
    assert_balanced(told.report)
    found = loom("quarantine", "list", *JSON).report
    assert (told.report["records"]["loaded"], told.report["records"]["quarantined"]) == (loaded, len(found))
    return sorted(found, key=lambda record: str(record["failure_reason"]))


def only(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the only record there is."""
    assert len(records) == 1, records
    return records[0]
