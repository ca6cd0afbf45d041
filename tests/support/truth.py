"""Checks whether a run's books are true: they are held, after every run of the tests, against the destination, its
ledger, the quarantine, the journal, what the simulated provider counted, and what happened.

Pure. `written.py` reads what is compared, `watching.py` does so around every command of the tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ENDS = ("filtered", "unnested", "grouped", "loaded", "rejected", "skipped", "quarantined", "cancelled")
ENDED = ("succeeded", "partial", "failed", "cancelled")
CODES = {"succeeded": (0, 5), "partial": (3, 5), "failed": (1,), "cancelled": (4,)}
"""Exit codes of `loom run` by status; 5 is for a limit of `fail_on`."""


class UntrueBooks(AssertionError):
    """Reports that what is written of a run is not what happened."""


@dataclass(frozen=True)
class Seen:
    """Says what lies at one place: how many rows, and what they are."""

    rows: int
    digest: str


@dataclass(frozen=True)
class Books:
    """Holds all that is written of one run, as plain values."""

    run: Mapping[str, Any]
    batches: Mapping[str, int]
    """Holds the counts of its batches, added up; `underway` is how many batches have not ended."""
    kept: Mapping[str, int]
    """Outcome -> rows in the quarantine."""
    calls: Mapping[str, float]
    """`made`, `cost`, `tokens_in` and `tokens_out` of all its calls, added up."""
    batch_ids: frozenset[str] = frozenset()

    @property
    def tally(self) -> Mapping[str, Any]:
        """Return the counts in the run's own row."""
        return self.run["tally"] or {}

    @property
    def has_ended(self) -> bool:
        return self.run["status"] in ENDED

    @property
    def load(self) -> Mapping[str, Any]:
        return self.run["definition"]["load"]


def troubles(books: Books) -> list[str]:
    """Return what is not true of a run by its own books, in words; empty where they agree. Pure."""
    if not books.has_ended:
        return []
    tally, found = books.tally, []
    entered, ends = tally["extracted"] + tally["derived"], sum(tally[end] for end in ENDS)
    if entered != ends:
        found.append(f"extracted and derived {entered}, but {ends} came to an end: {dict(tally)}")
    for outcome in ("rejected", "skipped", "quarantined"):
        counts = tally[outcome], books.batches[outcome], books.kept.get(outcome, 0)
        if len(set(counts)) > 1:
            found.append(f"{outcome}: run, batches and quarantine say {counts}")
    written = books.batches["loaded"]
    shown = tally["loaded"]
    if books.run["status"] == "succeeded" and (shown != written or books.batches["underway"]):
        found.append(f"succeeded, but {shown} of {written} written are shown; {books.batches['underway']} underway")
    if shown > written:
        found.append(f"{shown} loaded, but only {written} were written")
    if tally["calls_made"] != books.calls["made"]:
        found.append(f"calls: the run says {tally['calls_made']}, its bills {books.calls['made']}")
    if abs(tally["cost_transform"] + tally["cost_evaluate"] - books.calls["cost"]) > 1e-9:
        found.append(f"cost: the run says {tally['cost_transform'] + tally['cost_evaluate']}, its bills {books.calls}")
    return found + _of_the_status(books)


def _of_the_status(books: Books) -> list[str]:
    """Tell whether the status is what happened."""
    status, error, tally = books.run["status"], books.run["error_message"], books.tally
    errors = tally["quarantined"] + tally["skipped"]
    found = []
    if (error is None) != (status in ("succeeded", "cancelled")) and status != "cancelled":
        found.append(f"{status}, and the error is {error!r}")
    if not tally["loaded"] and errors and status not in ("failed", "cancelled"):
        found.append(f"{status}, though nothing was loaded and errors kept back {errors}")
    if not tally["loaded"] and tally["rejected"] and status == "succeeded":
        found.append("succeeded, though the gate rejected all")
    return found


def ledger_troubles(books: Books, ledger: Mapping[str, int]) -> list[str]:
    """Tell whether the ledger beside the table holds what the batches say. `ledger` is batch -> records loaded.
    Pure."""
    first = books.batches["loaded"] - books.batches["second"]
    there = sum(ledger.values())
    if books.run["status"] == "cancelled" and books.batches["staged"] and not (books.run["placed"] or {}).get("first"):
        first = 0  # what was staged was dropped, and the ledger says so
    if books.run["reason"] == "superseded":
        first = 0
    return [] if there == first else [f"the ledger holds {there} loaded, the batches {first}"]


def destination_troubles(books: Books, before: Seen | None, after: Seen | None, more: int) -> list[str]:
    """Tell whether the destination holds what the run says: `more` records were loaded there since `before`. Pure."""
    mode, tally = _mode(books), books.tally
    was, now = before or Seen(0, ""), after or Seen(0, "")
    mine = tally["loaded"] - tally["second"]
    if mode == "append":
        good, words = now.rows == was.rows + more, f"{was.rows} and {more} added"
    elif mode == "upsert":
        good, words = max(was.rows, more) <= now.rows <= was.rows + more, f"{was.rows}, and {more} updated or added"
    elif (books.run["placed"] or {}).get("first") and not _left_as_it_was(books):
        good, words = now.rows == mine, f"the {mine} that were loaded"
    else:
        good, words = now == was or not (was.rows or now.rows), f"the {was.rows} that were there before, unchanged"
    return [] if good else [f"mode {mode}: the destination holds {now.rows} rows, not {words}"]


def _left_as_it_was(books: Books) -> bool:
    return "left as it was" in (books.run["error_message"] or "")


def _mode(books: Books) -> str:
    """Return the mode that a run's rows were loaded by."""
    mode, place = books.load.get("mode"), books.load["destination"]
    if books.run["sample"] is not None:
        return "replace"
    if books.run["replay_of"] is not None:
        keyed = "://" in place and (books.load.get("key") or books.run["definition"]["extract"].get("key"))
        return mode if mode in ("append", "upsert") else "upsert" if keyed and mode is None else "append"
    if mode is not None:
        return str(mode)
    if "://" not in place:
        return "replace"
    return "upsert" if books.load.get("key") or books.run["definition"]["extract"].get("key") else "append"


def provider_troubles(booked: Mapping[str, float], counted: Mapping[str, float]) -> list[str]:
    """Whether as many tokens are on the books as the provider says it was asked and answered. Pure."""
    return [
        f"{name}: {booked[name]} on the books, the provider counted {counted[name]}"
        for name in ("tokens_in", "tokens_out")
        if booked[name] != counted[name]
    ]


def code_troubles(books: Books, code: int) -> list[str]:
    """Tell whether a command that followed a run to its end exited with what that was. Pure."""
    wanted = CODES[books.run["status"]]
    return [] if code in wanted else [f"{books.run['status']}, but the exit code is {code}"]
