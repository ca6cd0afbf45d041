"""Holds OpenLineage events against the JSON schemas of the standard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

_SPEC = Path(__file__).parent / "openlineage_spec"


@cache
def _schemas() -> Registry[Any]:
    resources = [Resource.from_contents(json.loads(file.read_text())) for file in _SPEC.glob("*.json")]
    return Registry().with_resources((str(each.id()), each) for each in resources)


def valid(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an event that its schema, and that of each of its facets, allows."""
    _see(event, event["schemaURL"])
    for facet in _facets(event):
        _see(facet, facet["_schemaURL"])
    return event


def _see(content: Any, schema: str) -> None:
    Draft202012Validator({"$ref": schema}, registry=_schemas(), format_checker=FormatChecker()).validate(content)


def _facets(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if "_schemaURL" in value:
            yield value
        for each in value.values():
            yield from _facets(each)
    elif isinstance(value, list):
        for each in value:
            yield from _facets(each)


def events_in(file: Path, run_id: str | None = None) -> list[Mapping[str, Any]]:
    """Return the events of a file, each valid; those of one run where it is named."""
    lines = file.read_text().splitlines() if file.exists() else []
    events = [valid(json.loads(line)) for line in lines]
    return [each for each in events if run_id in (None, each["run"]["facets"]["loom_run"]["run_id"])]
