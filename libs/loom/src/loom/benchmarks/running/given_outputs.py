"""Lets evaluators score outputs that are there already: a run takes them in place of what its transform would make."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from loom.benchmarks.data.labels import named_on_the_command_line, rows_of
from loom.benchmarks.running.candidates import Candidate
from loom.project.config import LoomConfig
from loom.project.definition_file import built
from loom_common.domain.checks.record_checks import key_of
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.errors import ConfigurationError, RecordError
from loom_connectors.ports.source import ReadRecord

FIELD = "loom_given_output"
"""The field of the input that carries the output."""


def output(record: dict[str, Any]) -> dict[str, Any]:
    """Return the output that the record carries."""
    given: dict[str, Any] = record[FIELD]
    return given


async def read_outputs(source: str, config: LoomConfig, pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """Read outputs by the ids of their records, e.g. from the destination of an earlier run. Where the pipeline
    declares a number or a truth value, the text of a CSV file is read as one. Raises `ConfigurationError` for a row
    that has no key, and what reading the source raises."""
    keys = pipeline.extract.keys
    declared = (pipeline.transform.declared_schema or {}).get("properties", {})
    context = replace(named_on_the_command_line(config), record_key=keys)
    found = {}
    async for row in rows_of(ExtractConfig(source=source), context):
        try:
            found[key_of(row.data, keys, row.position)] = {
                name: _typed(value, declared.get(name)) for name, value in row.data.items() if name not in keys
            }
        except RecordError as error:
            raise ConfigurationError(f"{source}: {error}") from None
    return found


def _typed(value: Any, schema: Any) -> Any:
    """Return a text as the number or truth value that its schema declares; anything else as it is."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if not isinstance(value, str) or kind not in ("number", "integer", "boolean"):
        return value
    try:
        read = json.loads(value.lower() if kind == "boolean" else value)
    except ValueError:
        return value
    return read if isinstance(read, bool) is (kind == "boolean") and isinstance(read, bool | int | float) else value


def with_outputs(records: Mapping[str, ReadRecord], outputs: Mapping[str, Mapping[str, Any]]) -> dict[str, ReadRecord]:
    """Return the records that have an output, with it."""
    return {
        name: replace(record, data={**record.data, FIELD: dict(outputs[name])})
        for name, record in records.items()
        if name in outputs
    }


def taking_outputs(candidate: Candidate, config: LoomConfig) -> Candidate:
    """Return the candidate with a transform that returns the outputs that its records carry."""
    transform = {"type": "python", "function": f"{__name__}:{output.__name__}"}
    definition = {**candidate.loaded.definition, "transform": transform}
    return Candidate(candidate.name, built(definition, candidate.loaded.path, config.allowed))
