"""Implements the evaluator `json_schema`."""

from __future__ import annotations

import jsonschema
from referencing.exceptions import Unresolvable

from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition import evaluators as config
from loom_common.domain.json_values.schema_check import SchemaCheck
from loom_common.errors import PermanentError
from loom_evaluator.evaluators.fields import output_value
from loom_evaluator.evaluators.opinion import YES, Opinion, Rule, cannot_score, no


def json_schema(settings: config.JsonSchema) -> Rule:
    """Give 1 where the whole output, or the named field, fits the schema; else 0 with the first misfit.

    Nothing is fetched: a `$ref` must lie within the schema. Raises `PermanentError` for what is no JSON Schema."""
    try:
        jsonschema.Draft202012Validator.check_schema(settings.json_schema)
    except jsonschema.SchemaError as error:
        raise PermanentError(f"Evaluator {settings.name}: `schema` is no JSON Schema: {error.message}.") from error
    check = SchemaCheck(settings.json_schema)

    def rule(record: TransformedRecord) -> Opinion:
        value = record.result if settings.field is None else output_value(record, settings.field)
        try:
            misfit = next(check.misfits(value), None)
        except Unresolvable as error:
            raise cannot_score(f"the schema refers to what it does not hold: {error}") from error
        if misfit is None:
            return YES
        return no(f"{misfit.json_path}: {misfit.message}"[:500])

    return rule
