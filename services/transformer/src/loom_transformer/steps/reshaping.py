"""Takes the records of a batch through steps that make several records of one, and through those that gather them
again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loom_common.contracts.v1 import Derived
from loom_common.domain.steps.nodes import Node
from loom_transformer.outcome import TransformOutcome
from loom_transformer.steps.outcomes import added
from loom_transformer.steps.parts import Opening
from loom_transformer.steps.state import OFF, RAN, UNNESTED, BatchState


def opened(batch: BatchState, node: Node, opening: Opening, at: int, view: Mapping[str, Any]) -> int | None:
    """Make several records of one, and return how many; None where there is nothing to make a record of, and the record
    is dropped. Raises `RecordError` where its parts cannot be told."""
    name, rows = node.name, batch.rows
    parts = opening.parts_of(view)
    if not parts and not opening.gathered:
        batch.end(name, at, TransformOutcome(None, 0.0, filtered=name))
        return None
    derived = Derived(rows.records[at].id, name) if opening.gathered else _derived(batch, node, opening, at, parts)
    batch.state[name][at] = UNNESTED
    for number, part in enumerate(parts, start=1):
        data = opening.data(view, part, number)
        rows.add(name, at, data, derived)
        batch.state[name].append(RAN)
        batch.after[name].append(data)
        batch.made[name].append(TransformOutcome(opening.made(part, number), 0.0))
        batch.branch[name].append(None)
    if not opening.gathered:
        batch.parts[at] = rows.parts(name, at)
    return len(parts)


def gathered(batch: BatchState, node: Node, fields: Mapping[str, str], at: int) -> TransformOutcome:
    """Return lists of the fields of those records that were made of one, or the end of one that a step failed on. Those
    that a filter dropped are left out."""
    level = batch.graph.levels[node.name].before
    parts, makers = batch.rows.parts(level[-1], at), batch.makers(node, level)
    ends = [batch.ends[part][1] for part in parts if part in batch.ends]
    if (failed := next((end for end in ends if end.error is not None), None)) is not None:
        return failed
    views = [batch.view(makers, part) for part in parts if part not in batch.ends]
    output = {into: [view.get(field) for view in views] for into, field in fields.items()}
    made = [outcomes[part] for outcomes in _made_of_parts(batch, level) for part in parts]
    return added([each for each in made if each is not None], output)


def _made_of_parts(batch: BatchState, level: Sequence[str]) -> Iterator[list[TransformOutcome | None]]:
    """Yield what the steps made that are about records which the last step of `level` makes."""
    for node in batch.graph.order:
        if node.name in batch.made and batch.graph.levels[node.name].worked_on[-1:] == level[-1:]:
            yield batch.made[node.name]


def _derived(batch: BatchState, node: Node, opening: Opening, at: int, parts: Sequence[Any]) -> Derived:
    """Return what has to be known of the records that are made of one, so that the steps up to there are not taken
    again where they are kept back."""
    record = batch.rows.records[at]
    before = record.derived or Derived(record.id, "")
    made, branches, off = dict.fromkeys(before.made), dict(before.branches), dict.fromkeys(before.off)
    for each in batch.graph.order:
        if each.name not in batch.graph.ancestors[node.name]:
            continue
        seen = batch.seen_as(at, each.name)
        outcome, taken = batch.made[each.name][seen], batch.branch[each.name][seen]
        if outcome is not None:
            made.update(dict.fromkeys(outcome.output or ()))
        if taken is not None:
            branches[each.name] = taken
        if batch.state[each.name][seen] == OFF:
            off[each.name] = None
    made.pop(opening.field, None)
    made.update(dict.fromkeys(opening.names(parts)))
    return Derived(record.id, node.name, tuple(made), branches, tuple(off))
