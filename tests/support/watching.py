"""Watches every command of the tests that carries out a run, with what was there before it held against what is there
after."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from loom_dev.waiting import within
from support import written
from support.cluster import Cluster
from support.simulated_model import SERVING
from support.truth import (
    Books,
    Seen,
    UntrueBooks,
    code_troubles,
    destination_troubles,
    ledger_troubles,
    provider_troubles,
    troubles,
)


def changes_runs(arguments: Sequence[str]) -> bool:
    """Tell whether a command carries out runs, or ends them."""
    carries_out = tuple(arguments[:1]) in {("run",), ("backfill",), ("resume",), ("cancel",)}
    return (carries_out and "--dry-run" not in arguments) or tuple(arguments[:2]) == ("quarantine", "retry")


def code_is_of_a_run(arguments: Sequence[str]) -> bool:
    """Tell whether the exit code of a command that changes runs says how its only run has ended."""
    return arguments[0] not in ("cancel", "backfill") and "--downstream" not in arguments


@dataclass
class Watch:
    """Compares what was there before a command with what is there after it. Two that overlap in one folder see each
    other's runs half done, so neither says anything."""

    folder: Path
    books: dict[str, Books] = field(default_factory=dict)
    places: dict[str, Seen] = field(default_factory=dict)

    tokens: dict[str, dict[str, int]] = field(default_factory=dict)
    overlaps: bool = False

    @classmethod
    async def begin(cls, folder: Path) -> Watch:
        """Look at a project's folder before a command."""
        watch = cls(folder)
        for other in _WATCHES:
            if other.folder == folder:
                other.overlaps = watch.overlaps = True
        _WATCHES.append(watch)
        watch.books, watch.places = await watch._look()
        watch.tokens = counted()
        return watch

    def give_up(self) -> None:
        """The command was killed: rows that it loaded may have been told of nowhere, until their run is resumed."""
        self._forget()
        _KILLED.add(self.folder)

    def _forget(self) -> None:
        if self in _WATCHES:
            _WATCHES.remove(self)

    async def _look(self) -> tuple[dict[str, Books], dict[str, Seen]]:
        books = await written.of_sqlite(self.folder / ".loom" / "loom.db")
        return books, await asyncio.to_thread(written.places, self.folder)

    async def end(self, code: int | None = None) -> None:
        """Look again after it; `code` is its exit code, where it followed a run to its end. Raises `UntrueBooks` with
        all that is untrue of the runs that it changed."""
        self._forget()
        if self.overlaps:
            return
        books, seen = await self._look()
        found = []
        changed = {run_id: each for run_id, each in books.items() if not _same(each, self.books.get(run_id))}
        for run_id, each in changed.items():
            found += [f"{run_id}: {words}" for words in self._of(each, seen, alone=len(changed) == 1)]
        if code is not None and len(changed) == 1:
            (each,) = changed.values()
            found += code_troubles(each, code) if each.has_ended else []
        # A killed command's calls were counted before this one began, and are booked by it.
        if changed and self.folder not in _KILLED and all(each.has_ended for each in changed.values()):
            found += self._of_the_provider(changed, counted())
        if found:
            raise UntrueBooks("\n".join(found))

    def _of_the_provider(self, changed: Mapping[str, Books], now: Mapping[str, Mapping[str, int]]) -> list[str]:
        """Compare with the provider where every model of these runs is asked at a simulated one."""
        urls = {url for each in changed.values() for url in _urls(each.run["definition"])}
        if not urls or not urls <= now.keys():
            return []
        none = {"tokens_in": 0, "tokens_out": 0}
        asked = {name: sum(now[url][name] - self.tokens.get(url, none)[name] for url in urls) for name in none}
        known = {run_id: each.calls for run_id, each in self.books.items()}
        booked = {
            name: sum(each.calls[name] - known.get(run_id, none)[name] for run_id, each in changed.items())
            for name in none
        }
        return provider_troubles(booked, asked)

    def _of(self, books: Books, seen: Mapping[str, Seen], *, alone: bool) -> list[str]:
        found = troubles(books)
        place = written.place_of(books, self.folder)
        untold = self.folder in _KILLED and books.run["status"] == "cancelled"
        if place is None or not books.has_ended or untold:
            return found
        ledger = written.ledger_of(books, place)
        if ledger is not None and books.load.get("on_failure") != "retry":  # a retried batch has more ledger rows
            found += ledger_troubles(books, ledger)
        # Rows that a killed command wrote and could not tell of are counted as loaded by whoever loads them again.
        if alone and self.folder not in _KILLED and place not in _sources(books, self.folder):
            before = self.books.get(books.run["run_id"])
            loaded = books.tally["loaded"] - books.tally["second"]
            earlier = _in_place(before)
            found += destination_troubles(books, self.places.get(place), seen.get(place), loaded - earlier)
        return found


_SETTLED_SECONDS = 15.0
"""The number of seconds within which what was in flight at the end of a run is reported and stored."""


@asynccontextmanager
async def true_books_of(cluster: Cluster) -> AsyncIterator[None]:
    """Every run that a cluster has carried out within the block has true books soon after it. Raises `UntrueBooks`."""
    known = list(await written.of_postgres(cluster.state_url))
    yield
    found: list[str] = []
    with contextlib.suppress(TimeoutError):
        async with within(_SETTLED_SECONDS):
            while found := await _troubles_of(cluster, known):
                await asyncio.sleep(0.2)
    if found:
        raise UntrueBooks("\n".join(found))


@asynccontextmanager
async def cluster_in_use(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, **replicas: int) -> AsyncIterator[Cluster]:
    """Lend a cluster that many tests use to one of them: one replica of each service runs, or so many of these, its
    credentials are in the environment, and what it carries out must leave true books."""
    for name, value in cluster.credentials.items():
        monkeypatch.setenv(name, value)
    cluster.reduce(**replicas)
    await cluster.serve(**replicas)
    cluster.forget_troubles()
    async with true_books_of(cluster):
        yield cluster
        print(cluster.troubles())


async def _troubles_of(cluster: Cluster, known: Sequence[str]) -> list[str]:
    found = []
    ledgers = await written.ledgers_of_postgres(cluster.state_url)
    for run_id, books in (await written.of_postgres(cluster.state_url, known)).items():
        if run_id in _CHANGED:
            continue
        words = troubles(books)
        inside = str(books.load["destination"]).startswith("${RESULTS}") and books.run["sample"] is None
        if inside and books.has_ended and books.load.get("on_failure") != "retry":
            mine = {batch: loaded for batch, loaded in ledgers.get(run_id, {}).items() if batch in books.batch_ids}
            words += ledger_troubles(books, mine)
        found += [f"{run_id}: {each}" for each in words]
    return found


def books_are_changed(run_id: str) -> None:
    """Say that a test makes the books of this run untrue, to see whether that is found."""
    _CHANGED.add(run_id)


_CHANGED: set[str] = set()
_KILLED: set[Path] = set()
"""Folders in which a command was killed."""
_WATCHES: list[Watch] = []
"""Holds the watches of commands that run now."""


def counted() -> dict[str, dict[str, int]]:
    """Return what the simulated providers of this process have counted, by their base URL."""
    return {each.base_url: {"tokens_in": each.tokens_in, "tokens_out": each.tokens_out} for each in set(SERVING)}


def _urls(value: Any) -> set[str]:
    """Return every `base_url` in a definition."""
    if isinstance(value, Mapping):
        own = {value["base_url"]} if isinstance(value.get("base_url"), str) else set()
        return own.union(*map(_urls, value.values()))
    return set().union(*map(_urls, value)) if isinstance(value, list) else set()


def _in_place(before: Books | None) -> int:
    """Count records of a run that were in its destination before a command: rows of tables that it adds to are, at
    once."""
    if before is None:
        return 0
    if before.has_ended:
        return int(before.tally["loaded"] - before.tally["second"])
    return before.batches["loaded"] - before.batches["staged"] - before.batches["second"]


def _sources(books: Books, folder: Path) -> set[str]:
    source = str(books.run["definition"]["extract"]["source"])
    return set() if "://" in source else {str((folder / source).resolve())}


def _same(books: Books, before: Books | None) -> bool:
    return before is not None and (books.run["epoch"], books.run["status"], books.run["tally"]) == (
        before.run["epoch"],
        before.run["status"],
        before.run["tally"],
    )
