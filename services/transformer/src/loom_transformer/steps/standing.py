"""Decides which records of a batch a step is for, by what became of them in the steps before it."""

from __future__ import annotations

from collections.abc import Sequence

from loom_common.domain.steps.nodes import GATHER, Node
from loom_common.errors import RecordError
from loom_transformer.outcome import TransformOutcome
from loom_transformer.steps.state import ENDED, OFF, PASSED, RAN, UNNESTED, BatchState


def states_before(batch: BatchState, node: Node) -> list[int]:
    """Return what each record is to a step, before its own `when`: `RAN` where the step is for it."""
    size, before = len(batch.rows), batch.graph.before[node.name]
    if batch.graph.has_parts or batch.rows.derived:
        return [_state_of(batch, node, at) for at in range(size)]
    if not before:
        return [RAN] * size
    ended = [batch.state[name] for name in before]
    plain = [batch.state[need.step] for need in node.needs if need.branch is None]
    choices = [(batch.branch[router], branches) for router, branches in node.choices.items()]
    states = [RAN] * size
    for at in range(size):
        if any(state[at] == ENDED for state in ended):
            states[at] = ENDED
        elif any(taken[at] not in branches for taken, branches in choices) or (
            plain and all(state[at] == OFF for state in plain)
        ):
            states[at] = OFF
    return states


def _state_of(batch: BatchState, node: Node, at: int) -> int:
    """Return the same of one record, where steps make several records of one, or where records were made so in another
    run, which kept them back."""
    level, derived = batch.graph.levels[node.name], batch.rows.records[at].derived
    if not batch.rows.is_of(at, level.worked_on):
        return OFF
    if derived is not None and derived.step not in batch.graph.by_name:
        words = f"it was made by the step {derived.step}, which this pipeline does not have"
        batch.ends[at] = (-1, TransformOutcome(None, 0.0, RecordError(words, code="unknown_step")))
        return ENDED
    if derived is not None and batch.graph.comes_by(node.name, derived.step):
        batch.branch[node.name][at] = derived.branches.get(node.name)
        return OFF if node.name in derived.off else PASSED
    if node.kind == GATHER:
        opened = batch.state[level.before[-1]][at]
        ended = ENDED in _before(batch, node, at, level.after).values()
        return ENDED if ended else RAN if opened == UNNESTED else opened
    found = _before(batch, node, at, level.before)
    for end in (ENDED, UNNESTED):
        if end in found.values():
            return end
    plain = [found[need.step] for need in node.needs if need.branch is None]
    on_branches = all(
        batch.branch[router][batch.seen_as(at, router)] in branches for router, branches in node.choices.items()
    )
    return OFF if not on_branches or (plain and all(state == OFF for state in plain)) else RAN


def _before(batch: BatchState, node: Node, at: int, level: Sequence[str]) -> dict[str, int]:
    """Return what became of a record in the steps right before, as far as they are about records that the steps of
    `level` make."""
    levels = batch.graph.levels
    above = [each for each in batch.graph.before[node.name] if set(levels[each].after).issubset(level)]
    return {each: batch.state[each][batch.seen_as(at, each)] for each in above}
