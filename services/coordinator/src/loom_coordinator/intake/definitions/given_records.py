"""Lets a run read records that were stored for it in the place of its pipeline's source, and keep its rows for whoever
started it in the place of its pipeline's destination."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loom_common.domain.values.stored_records import (
    are_handed,
    destination_of,
    is_name,
    name_in,
    owns_rows,
    rows_owner_in,
    source_of,
)
from loom_common.errors import InvalidDefinition, Problem

_OF_THE_SOURCE = ("source", "query", "options", "incremental", "partitions")
"""The keys of `extract` that say something of the source."""
_OF_THE_DESTINATION = ("destination", "mode", "key", "options", "fallback")
"""The keys of `load` that say something of the destination."""
_OF_WHO_TAKES = {"load": "7d", "run": "7d"}
"""Limits of a run whose records somebody takes one by one, where its definition says nothing else: they may take them
slowly, and the run waits for them."""


def definition_of_run(definition: dict[str, Any], name: str | None) -> dict[str, Any]:
    """Return the definition of a run of a pipeline, which reads the stored records of this name where there is one. The
    rest of `extract` holds.

    Raises `InvalidDefinition` for a name that storing records never gives, and where the pipeline itself names stored
    records: they are removed after the run that they were given to."""
    extract = definition.get("extract")
    source = extract.get("source") if isinstance(extract, Mapping) else None
    if isinstance(source, str) and name_in(source) is not None:
        raise InvalidDefinition(
            [Problem(("extract", "source"), "records that were given to a run", "a source that stays")]
        )
    if name is None:
        return definition
    if not is_name(name):
        raise InvalidDefinition([Problem(("records",), repr(name)[:80], "the name that storing the records gave")])
    return {**definition, "extract": {"source": source_of(name), **_without(extract, _OF_THE_SOURCE)}}


def keeping_rows(definition: dict[str, Any], owner: str | None) -> dict[str, Any]:
    """Return the definition of a run that keeps its rows for an owner where there is one. The rest of `load` holds.

    Raises `InvalidDefinition` for an owner whose name is none, and where the pipeline itself names kept rows: they are
    removed after the run."""
    load = definition.get("load")
    destination = load.get("destination") if isinstance(load, Mapping) else None
    if isinstance(destination, str) and rows_owner_in(destination) is not None:
        raise InvalidDefinition(
            [Problem(("load", "destination"), "rows that a run gives back to Python", "a destination that stays")]
        )
    if owner is None:
        return definition
    if not owns_rows(owner):
        raise InvalidDefinition([Problem(("rows",), repr(owner)[:80], "`kept_` and 32 hexadecimal digits")])
    made = {**definition, "load": in_place_of(load, destination_of(owner))}
    if not are_handed(owner):
        return made
    written = definition.get("timeouts") or {}
    return {**made, "timeouts": {**_OF_WHO_TAKES, **written}} if isinstance(written, Mapping) else made


def in_place_of(load: Any, destination: str) -> dict[str, Any]:
    """Return the section `load` of a run whose rows go elsewhere than its pipeline's. What is told of its second
    destination goes with that."""
    kept = _without(load, _OF_THE_DESTINATION)
    if kept.get("on_failure") == "fallback":
        del kept["on_failure"]
    return {**kept, "destination": destination}


def _without(section: Any, keys: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key not in keys} if isinstance(section, Mapping) else {}
