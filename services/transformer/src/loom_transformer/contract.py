"""Holds the outputs of a batch to the contract of their schema, before anybody pays for their evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.run.plan import Plan, contract_of
from loom_common.domain.schema.columns import Columns
from loom_common.domain.schema.contract import shaped
from loom_common.flow import Stage
from loom_transformer.outcome import TransformOutcome


def held_to_schema(
    records: Sequence[ExtractedRecord], outcomes: Sequence[TransformOutcome], plan: Plan
) -> tuple[list[TransformOutcome], Columns | None]:
    """Return the outcomes, with an error for each output that the contract keeps back; and the schema of the others,
    None where the plan has no contract. Raises `PermanentError` where the contract freezes what does not fit."""
    if (contract := contract_of(plan, Stage.TRANSFORM)) is None:
        return list(outcomes), None
    held = list(outcomes)
    places = [at for at, outcome in enumerate(outcomes) if outcome.error is None]
    given = [records[at].input if (output := outcomes[at].output) is None else output for at in places]
    found = shaped(given, *contract, Stage.TRANSFORM)
    for position, at in enumerate(places):
        if (error := found.errors.get(position)) is not None:
            held[at] = replace(outcomes[at], error=error)
        elif found.values[position] is not given[position]:
            held[at] = replace(outcomes[at], output=dict(found.values[position]))
    return held, found.columns
