"""Takes records out of the steps of one process, with what these made of them, and puts them into those of another
one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loom_ai.journal.usage import Spent
from loom_common.contracts.v1 import Derived, EndInSteps, ExtractedRecord, PartInSteps, RecordInSteps, TakenStep
from loom_common.domain.steps.graph import Graph
from loom_common.errors import RecordError
from loom_transformer.outcome import TransformOutcome
from loom_transformer.steps.rows import Rows
from loom_transformer.steps.state import ENDED, OFF, PASSED, RAN, UNNESTED, BatchState

_WORDS = {RAN: "ran", PASSED: "passed", OFF: "off", ENDED: "ended", UNNESTED: "unnested"}
_STATES = {word: state for state, word in _WORDS.items()}


def left_of(batch: BatchState) -> list[str]:
    """Return the steps that a batch has not been through, in the order of the graph."""
    return [node.name for node in batch.graph.order if node.name not in batch.state]


def has_settled(batch: BatchState, at: int, left: Sequence[str]) -> bool:
    """Tell whether nothing more can become of a record: it has ended, and none of the steps that are left is for it.
    Of two steps that do not need each other, both see a record, and the first in the order of the graph says how it
    ended."""
    if at not in batch.ends:
        return False
    graph = batch.graph
    ended = [name for name, states in batch.state.items() if states[batch.seen_as(at, name)] == ENDED]
    return all(any(graph.precedes(end, name) or graph.exclusive(end, name) for end in ended) for name in left)


def carried(batch: BatchState, at: int) -> RecordInSteps:
    """Return a record with what the steps so far made of it, and of those records made of it that are gathered
    later."""
    record = batch.rows.records[at]
    inner = list(gathered_later(batch, at))
    numbers = {row: number for number, row in enumerate([at, *inner])}
    parts = []
    for row in inner:
        parent, step = batch.rows.parent(row)
        data = batch.rows.records[row].input
        parts.append(PartInSteps(step, numbers[parent], data, _taken(batch, row), _end_of(batch, row)))
    return RecordInSteps(record.id, record.input, record.derived, _taken(batch, at), _end_of(batch, at), tuple(parts))


def restored(graph: Graph, records: Sequence[ExtractedRecord | RecordInSteps]) -> BatchState:
    """Return the state of a batch as its records tell it; nothing has become of those that come from the source."""
    batch = BatchState(graph, Rows([ExtractedRecord(each.id, each.input, each.derived) for each in records]))
    carried_on = [(at, each) for at, each in enumerate(records) if isinstance(each, RecordInSteps)]
    if not carried_on:
        return batch
    told = _with_parts(batch, carried_on)
    names = {step.name for _, steps, _ in told for step in steps}
    size = len(batch.rows)
    for node in graph.order:
        if node.name in names:
            batch.state[node.name], batch.made[node.name] = [OFF] * size, [None] * size
            batch.branch[node.name] = [None] * size
    for at, steps, end in told:
        for step in steps:
            if step.name in batch.state:
                batch.state[step.name][at] = _STATES[step.became]
                batch.branch[step.name][at] = step.branch
                batch.made[step.name][at] = _made(step)
        if end is not None:
            batch.ends[at] = (graph.ranks.get(end.step, -1), _ended(end))
    for node in graph.order:
        if node.name in batch.state:
            batch.after[node.name] = list(_after(batch, node.name))
    return batch


_Told = tuple[int, Sequence[TakenStep], EndInSteps | None]


def _with_parts(batch: BatchState, records: Sequence[tuple[int, RecordInSteps]]) -> list[_Told]:
    """Enter the records that others hold, in the order in which steps made them, and return what is told of each."""
    told: list[_Told] = [(at, record.steps, record.end) for at, record in records]
    numbers = {at: [at, *(-1 for _ in record.parts)] for at, record in records}
    for node in batch.graph.order:
        for at, record in records if node.opens else ():
            for number, part in enumerate(record.parts, start=1):
                if part.step == node.name:
                    parent = numbers[at][part.parent]
                    derived = Derived(batch.rows.records[parent].id, part.step)
                    row = numbers[at][number] = batch.rows.add(part.step, parent, part.input, derived)
                    told.append((row, part.steps, part.end))
    return told


def gathered_later(batch: BatchState, at: int) -> Iterator[int]:
    """Yield the records made of one, and of these in turn, which a step that is left gathers."""
    if not batch.rows.grown:
        return
    found = {at}
    for row in range(batch.rows.given, len(batch.rows)):
        parent, step = batch.rows.parent(row)
        if parent in found and step in batch.graph.gathers and batch.graph.gathers[step] not in batch.state:
            found.add(row)
            yield row


def _taken(batch: BatchState, at: int) -> tuple[TakenStep, ...]:
    derived = batch.rows.records[at].derived
    return tuple(
        _taken_step(batch, node.name, at, told=derived is None or not batch.graph.comes_by(node.name, derived.step))
        for node in batch.graph.order
        if node.name in batch.state
    )


def _taken_step(batch: BatchState, name: str, at: int, *, told: bool) -> TakenStep:
    """Return what a step made of a record. What a record has in its input, because it was made later, is not `told`
    again."""
    seen = batch.seen_as(at, name)
    became, branch, made = _WORDS[batch.state[name][seen]], batch.branch[name][seen], batch.made[name][seen]
    if made is None:
        return TakenStep(name, became, branch)  # type: ignore[arg-type]  # the words are those of the contract
    return TakenStep(
        name,
        became,  # type: ignore[arg-type]
        branch,
        made.output if told else None,
        made.answered_by,
        made.seconds,
        made.waits,
        made.spent.calls_made,
        made.spent.answered,
    )


def _made(step: TakenStep) -> TransformOutcome:
    spent = Spent(calls_made=step.calls, answered=step.answered)
    return TransformOutcome(step.output, step.seconds, None, spent, step.answered_by, waits=step.waits)


def _end_of(batch: BatchState, at: int) -> EndInSteps | None:
    if at not in batch.ends:
        return None
    rank, outcome = batch.ends[at]
    step = batch.graph.order[rank].name if rank >= 0 else ""
    if outcome.error is None:
        return EndInSteps(step, filtered=True)
    error = outcome.error
    return EndInSteps(step, False, error.code, str(error), dict(error.details), outcome.on_failure)


def _ended(end: EndInSteps) -> TransformOutcome:
    if end.filtered:
        return TransformOutcome(None, 0.0, filtered=end.step)
    error = RecordError(end.reason, code=end.code, details=end.details)
    return TransformOutcome(None, 0.0, error, on_failure=end.on_failure)


def _after(batch: BatchState, name: str) -> Iterator[dict[str, object]]:
    """Yield what each record looks like after a step that was taken elsewhere."""
    node = batch.graph.by_name[name]
    for at, view in enumerate(batch.views(node)):
        made = batch.made[name][at]
        if at >= batch.rows.given and batch.rows.parent(at)[1] == name:
            yield batch.rows.records[at].input
        else:
            yield view if made is None or not made.output else {**view, **made.output}
