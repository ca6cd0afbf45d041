"""Finds sensitive fields whose plain values the books of runs would have to hold. It does no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from loom_common.domain.section import Mistake, items, mistake, said

_Place = tuple[str | int, ...]


def needed_in_clear(written: Mapping[str, Any]) -> Iterable[Mistake]:
    """Yield the places of a definition that name a sensitive field where its values are kept in clear: keys, the column
    of incremental extraction, and unique checks."""
    sensitive = {name for name in items(written, "sensitive") if isinstance(name, str)}
    if not sensitive:
        return
    for place, name, why in _kept_in_clear(written):
        if any(name == each or name.startswith(f"{each}.") or each.startswith(f"{name}.") for each in sensitive):
            expected = (
                f"a field that is not in `sensitive`: {why}. Let the source give another one, such as a number or a "
                "keyed hash of it, or take it out of `sensitive`"
            )
            yield mistake(place, "sensitive_in_clear", expected, name)


def _kept_in_clear(written: Mapping[str, Any]) -> Iterator[tuple[_Place, str, str]]:
    extract, load, ingest = (said(written, section) for section in ("extract", "load", "ingest"))
    ids = "the values of a key are the ids of records, which tables, logs and addresses show"
    for section, holder, why in (
        ("extract", extract, ids),
        ("load", load, "rows are found again by their key"),
        ("ingest", ingest, "records that come again are known by its values, which are kept"),
    ):
        for place, name in _names((section, "key"), said(holder, "key")):
            yield place, name, why
    incremental = said(extract, "incremental")
    column = incremental if isinstance(incremental, str) else said(incremental, "column")
    if isinstance(column, str):
        at: _Place = (
            ("extract", "incremental") if isinstance(incremental, str) else ("extract", "incremental", "column")
        )
        yield at, column, "the newest value that was read is kept, for the next run"
    for section, holder in (("extract", extract), ("load", load)):
        for number, check in enumerate(items(holder, "quality_checks")):
            if said(check, "check") == "unique":
                for place, name in _names((section, "quality_checks", number, "column"), said(check, "column")):
                    yield place, name, "hashes of its values are kept, by which they could be guessed"


def _names(place: _Place, value: Any) -> Iterator[tuple[_Place, str]]:
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, list | tuple):
        yield from (((*place, at), each) for at, each in enumerate(value) if isinstance(each, str))
