"""Lets a run read records that were stored for it in the place of its pipeline's source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loom_common.domain.values.stored_records import is_name, name_in, source_of
from loom_common.errors import InvalidDefinition, Problem

_OF_THE_SOURCE = ("source", "query", "options", "incremental", "partitions")
"""The keys of `extract` that say something of the source."""


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
    written = extract if isinstance(extract, Mapping) else {}
    kept = {key: value for key, value in written.items() if key not in _OF_THE_SOURCE}
    return {**definition, "extract": {"source": source_of(name), **kept}}
