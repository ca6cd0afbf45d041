"""Defines the names of what Loom writes beside a destination: staged rows and samples. It does no I/O."""

from __future__ import annotations

from pathlib import PurePath
from urllib.parse import parse_qsl

from loom_common.domain.values.ids import content_hash

_LONGEST_NAME = 63
"""The most bytes of a name in Postgres."""


def staging_table(table: str, run_id: str) -> str:
    """Return the table that a replacing run stages its rows in: `<table>__loom_<run>`, within Postgres's 63 bytes."""
    tail = f"__loom_{run_id}"
    if len(tail) > 40:
        tail = f"__loom_{content_hash(run_id.encode())[:16]}"
    return _shortened(table, tail)


def sample_table(table: str) -> str:
    """Return the table that a sample is loaded into: `<table>_sample`."""
    return _shortened(table, "_sample")


def sample_file(name: str) -> str:
    """Return the file that a sample is loaded into: `scores.sample.csv` for `scores.csv`."""
    path = PurePath(name)
    return f"{path.stem}.sample{path.suffix}"


def parts_folder(name: str) -> str:
    """Return the folder that holds a file's parts until they are joined: `scores.csv.loom` for `scores.csv`."""
    return f"{name}.loom"


def staged_in(location: str, run_id: str) -> str:
    """Return the location of a run's staged rows, given the location of its destination as shown to people.

    Only a worker knows what a reference like `${RESULTS}` stands for. Where no table is named beside it, it may be a
    file or a database."""
    place, _, query = location.partition("?")
    reference = place.startswith("${")
    table = dict(parse_qsl(query)).get("table") if reference or "://" in place else None
    if table is None and reference:
        return f"a file or table beside {place}, with {run_id} in its name"
    if table is None:
        return f"{parts_folder(place)}/{run_id}"
    schema, dot, name = table.rpartition(".")
    return f"the table {schema}{dot}{staging_table(name, run_id)} of {place}"


def _shortened(name: str, tail: str) -> str:
    return name.encode()[: _LONGEST_NAME - len(tail.encode())].decode(errors="ignore") + tail
