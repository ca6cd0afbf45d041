"""Joins what the steps made of each record to its outcome."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from loom_ai.journal.usage import NOTHING
from loom_common.errors import RecordError
from loom_transformer.outcome import Part, TransformOutcome
from loom_transformer.steps.carrying import carried, gathered_later, has_settled, left_of
from loom_transformer.steps.state import BatchState

if TYPE_CHECKING:
    from loom_transformer.steps.stepping import Output

_Made = Sequence[tuple[str, TransformOutcome]]
"""Is, by step, what was made of a record."""


def outcomes_of(batch: BatchState, output: Output) -> list[TransformOutcome]:
    """Return one outcome per record of the batch, in order; of those of which others were made with theirs."""
    return [_whole_outcome(batch, partial(_outcome, batch, output), at) for at in range(batch.rows.given)]


def outcomes_amid(batch: BatchState, output: Output, wanted: Container[int]) -> list[TransformOutcome]:
    """Return the same of a batch that has not been through all steps: the outcomes of records that go on hold these.
    The next step works on those that are `wanted`."""
    left = left_of(batch)

    def amid(at: int) -> TransformOutcome:
        if has_settled(batch, at, left):
            return _outcome(batch, output, at)
        rows = [at, *gathered_later(batch, at)]
        return TransformOutcome(None, 0.0, going_on=carried(batch, at), wanted=any(row in wanted for row in rows))

    return [_whole_outcome(batch, amid, at) for at in range(batch.rows.given)]


def _whole_outcome(batch: BatchState, one: Callable[[int], TransformOutcome], at: int) -> TransformOutcome:
    """Return the outcome of a record; where others were made of it, with theirs."""
    if at not in batch.parts:
        return one(at)
    parts = list[Part]()
    derived = unnested = 0
    for part in batch.parts[at]:
        outcome = _whole_outcome(batch, one, part)
        derived, unnested = derived + 1 + outcome.derived, unnested + outcome.unnested
        parts += [Part(batch.rows.records[part], outcome)] if part not in batch.parts else outcome.parts
    return TransformOutcome(None, 0.0, parts=tuple(parts), derived=derived, unnested=unnested + 1)


def _outcome(batch: BatchState, declared: Output, at: int) -> TransformOutcome:
    """Join what the steps made of a record."""
    seconds, spent, waits, by = 0.0, NOTHING, False, list[str]()
    made: list[tuple[str, TransformOutcome]] = []
    record = batch.rows.records[at]
    derived = record.derived
    for node in batch.graph.order:
        if node.name not in batch.made:
            continue
        each = batch.made[node.name][batch.seen_as(at, node.name)]
        if each is None:
            continue
        seconds, waits = seconds + each.seconds, waits or each.waits
        spent = spent if each.spent is NOTHING else spent + each.spent
        if each.answered_by is not None:
            by.append(f"{node.name}: {each.answered_by}")
        if each.output and (derived is None or not batch.graph.comes_by(node.name, derived.step)):
            made.append((node.name, each))
    first = {} if derived is None else {name: record.input[name] for name in derived.made if name in record.input}
    output = _merged(first, [each for _, each in made])
    end = batch.ends[at][1] if at in batch.ends else None
    error = end.error if end is not None else _conflict(batch, declared, made)
    whole: dict[str, Any] | None = output or None
    if end is None and error is None:
        try:
            whole = declared.of(output)
        except RecordError as misfit:
            error = misfit
    return TransformOutcome(
        whole,
        seconds,
        error,
        spent,
        ", ".join(by) or None,
        waits=waits,
        filtered=None if end is None else end.filtered,
        grouped=None if end is None else end.grouped,
        on_failure=None if end is None else end.on_failure,
    )


def _conflict(batch: BatchState, declared: Output, made: _Made) -> RecordError | None:
    """Return the error of a record of which two steps made the same field that do not come after each other."""
    if not declared.may_conflict:
        return None
    makers: dict[str, str] = {}
    for name, outcome in made:
        for field in outcome.output or {}:
            earlier = makers.get(field)
            if earlier is not None and not batch.graph.related(earlier, name):
                words = f"The steps {earlier} and {name} both make the field '{field}': let one need the other"
                return RecordError(words, code="field_conflict", details={"step": name})
            makers[field] = name
    return None


def added(outcomes: Sequence[TransformOutcome], output: dict[str, Any]) -> TransformOutcome:
    """Return the outcome of a record with what those took that were made of it."""
    spent = NOTHING
    for each in outcomes:
        spent = spent if each.spent is NOTHING else spent + each.spent
    return TransformOutcome(
        output,
        sum(each.seconds for each in outcomes),
        spent=spent,
        waits=any(each.waits for each in outcomes),
        answered_by=next((each.answered_by for each in outcomes if each.answered_by is not None), None),
    )


def _merged(first: Mapping[str, Any], outcomes: Sequence[TransformOutcome]) -> dict[str, Any]:
    merged = dict(first)
    for outcome in outcomes:
        if outcome.output:
            merged.update(outcome.output)
    return merged
