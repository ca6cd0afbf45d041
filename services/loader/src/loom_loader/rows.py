"""Makes the row of a record: what identifies it, what the pipeline includes, and its output."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from loom_common.contracts.records import EncodedRecords, UnchangedRecords
from loom_common.contracts.v1 import EvaluatedRecord
from loom_common.domain.checks.record_checks import see_fields
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.run.plan import Plan, contract_of
from loom_common.domain.schema.columns import Columns
from loom_common.domain.schema.contract import shaped
from loom_common.errors import RecordError
from loom_common.flow import Stage
from loom_connectors.ports.deferred_rows import DeferredRows
from loom_connectors.ports.destination import FailedRow, Row


def rows_of(records: Sequence[EvaluatedRecord], pipeline: Pipeline) -> tuple[Sequence[Row], list[FailedRow]]:
    """Make of each record a row: key fields and `load.include` fields of the input, then the output, which wins where
    names meet.

    A row that is the same as its record's output, as that of a record that is passed on and begins with its key, is
    that output: nobody changes either.

    What the output declares to be an integer is one, also where it was written `1.0`. A record that has an included
    field neither in its input nor in its output is no row: it would be loaded empty. Rows of records that nobody has
    decoded are made when they are read, where each record is one."""
    if pipeline.load.include:
        return _rows_that_have(pipeline.load.include, records, pipeline)
    if isinstance(records, EncodedRecords):
        return DeferredRows(len(records), lambda: _rows(records.fields_once(), pipeline)), []
    return _rows(records, pipeline), []


def _rows_that_have(
    included: Sequence[str], records: Sequence[EvaluatedRecord], pipeline: Pipeline
) -> tuple[list[Row], list[FailedRow]]:
    """Return the rows of those records that have the included fields, and why the others are none."""
    having, failed = [], []
    for record in records:
        output = record.input if record.output is None else record.output
        try:
            see_fields(record.input, [name for name in included if name not in output], record.id)
        except RecordError as error:
            failed.append(FailedRow(record.id, error.code, str(error)))
        else:
            having.append(record)
    return _rows(having, pipeline), failed


def _rows(records: Sequence[EvaluatedRecord], pipeline: Pipeline) -> list[Row]:
    """Make a row of each record. Only its fields are read; of records that are passed on, those of what entered."""
    passed = isinstance(records, UnchangedRecords)
    given: Sequence[Any] = records.sources if isinstance(records, UnchangedRecords) else records
    whole = pipeline.transform.whole_numbers
    carried = tuple(dict.fromkeys((*pipeline.carried_key, *pipeline.load.include)))
    if not carried and whole is None:
        return [Row(each.id, each.input if passed or each.output is None else each.output) for each in given]
    rows = []
    for record in given:
        output = record.input if passed or record.output is None else record.output
        if whole is not None:
            output = whole(output)
        if output is not record.input or tuple(islice(output, len(carried))) != carried:
            output = {name: record.input.get(name) for name in carried} | output
        rows.append(Row(record.id, output))
    return rows


def held_to_schema(rows: Sequence[Row], plan: Plan) -> tuple[Sequence[Row], dict[str, RecordError], Columns | None]:
    """Hold rows to the contract of their schema. Return those that fit, as they are loaded; the errors of the others by
    the ids of their records; and the schema of the rows, None where the plan has no contract."""
    if (contract := contract_of(plan, Stage.LOAD)) is None:
        return rows, {}, None
    held = shaped([row.values for row in rows], *contract, Stage.LOAD)
    fitting = [Row(row.record_id, dict(held.values[at])) for at, row in enumerate(rows) if at not in held.errors]
    return fitting, {rows[at].record_id: error for at, error in held.errors.items()}, held.columns
