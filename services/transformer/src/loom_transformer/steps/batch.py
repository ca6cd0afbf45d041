"""Holds what has become of the records of one batch in the steps so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from loom_ai.journal.usage import NOTHING
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.steps.graph import Graph, Node
from loom_common.errors import RecordError
from loom_common.worker.context import Context, Progress
from loom_transformer.outcome import TransformOutcome

if TYPE_CHECKING:
    from loom_transformer.steps.stepping import Output, Step

_RAN, _PASSED, _OFF, _ENDED = range(4)
"""Say what became of a record in a step: it ran, it passed the record by, the record is on another branch, or it ended
there or before."""


class BatchInSteps:
    """Takes the records of one batch through steps, each of which is taken once, after those before it."""

    def __init__(
        self,
        run_id: str,
        records: Sequence[ExtractedRecord],
        context: Context,
        again: int,
        graph: Graph,
        steps: Mapping[str, Step],
        output: Output,
        watched: str | None,
    ) -> None:
        """`watched` names the step that the progress of the batch is told of."""
        self._run_id = run_id
        self._records = records
        self._context = context
        self._again = again
        self._graph = graph
        self._steps = steps
        self._output = output
        self._watched = watched
        self._state: dict[str, list[int]] = {}
        self._made: dict[str, list[TransformOutcome | None]] = {}
        self._after: dict[str, list[dict[str, Any]]] = {}
        """Holds what a record looks like after a step: its input with the outputs of all steps up to there."""
        self._branch: dict[str, list[str | None]] = {}
        self._ends: dict[int, tuple[int, TransformOutcome]] = {}
        self._ranks = {node.name: rank for rank, node in enumerate(graph.order)}

    async def take(self, step: Step) -> None:
        """Take the records through a step. Raises what the step's transform raises about more than a record, and
        `PermanentError` where a critical step fails."""
        name, size = step.node.name, len(self._records)
        views = self._views(step.node)
        state = self._state[name] = self._states(step.node)
        made = self._made[name] = [None] * size
        self._branch[name] = [None] * size
        chosen = list(self._chosen(step, views, state))
        if step.apply is not None:
            await self._transformed(step, chosen, views)
            self._after[name] = [
                view if each is None or not each.output else {**view, **each.output}
                for view, each in zip(views, made, strict=True)
            ]
            return
        self._decided(step, chosen, views)
        self._after[name] = views

    def outcomes(self) -> list[TransformOutcome]:
        """Return one outcome per record, in order."""
        return [self._outcome(at) for at in range(len(self._records))]

    def _views(self, node: Node) -> list[dict[str, Any]]:
        """Return each record as the step sees it."""
        before = self._graph.before[node.name]
        if not before:
            return [record.input for record in self._records]
        if len(before) == 1:
            return self._after[before[0]]
        above = [each.name for each in self._graph.order if each.name in self._graph.ancestors[node.name]]
        outputs = [self._made[name] for name in above if self._steps[name].apply is not None]
        return [_merged(record.input, [each[at] for each in outputs]) for at, record in enumerate(self._records)]

    def _states(self, node: Node) -> list[int]:
        """Return which records the step is for, before its own `when`."""
        size = len(self._records)
        before = [self._state[name] for name in self._graph.before[node.name]]
        plain = [self._state[need.step] for need in node.needs if need.branch is None]
        choices = [(self._branch[router], branches) for router, branches in node.choices.items()]
        if not before:
            return [_RAN] * size
        states = [_RAN] * size
        for at in range(size):
            if any(state[at] == _ENDED for state in before):
                states[at] = _ENDED
            elif any(taken[at] not in branches for taken, branches in choices) or (
                plain and all(state[at] == _OFF for state in plain)
            ):
                states[at] = _OFF
        return states

    def _chosen(self, step: Step, views: Sequence[dict[str, Any]], state: list[int]) -> Iterator[int]:
        """Yield the places of the records that the step works on."""
        for at, known in enumerate(state):
            if known != _RAN:
                continue
            try:
                if step.when is None or step.when.holds(views[at]):
                    yield at
                    continue
            except RecordError as error:
                self._fail(step, at, error)
                continue
            state[at] = _PASSED
            self._context.steps.enter(step.node.name, self._records[at].id, "passed")

    async def _transformed(self, step: Step, chosen: Sequence[int], views: Sequence[dict[str, Any]]) -> None:
        name = step.node.name
        if not chosen or step.apply is None:
            return
        context = replace(
            self._context,
            usage=self._context.steps.usage(name, self._context.usage),
            progress=self._context.progress if name == self._watched else Progress(),
        )
        given = [ExtractedRecord(id=self._records[at].id, input=views[at]) for at in chosen]
        outcomes = await step.apply(self._run_id, given, context, self._again)
        made = self._made[name]
        for at, outcome in zip(chosen, outcomes, strict=True):
            made[at] = outcome
            if outcome.error is None:
                self._context.steps.enter(name, self._records[at].id, "made", outcome.seconds)
            else:
                self._fail(step, at, outcome.error, outcome)

    def _decided(self, step: Step, chosen: Sequence[int], views: Sequence[dict[str, Any]]) -> None:
        """Filter or route the records."""
        name, book = step.node.name, self._context.steps
        for at in chosen:
            began = perf_counter()
            try:
                if step.where is not None and not step.where.holds(views[at]):
                    self._end(name, at, TransformOutcome(None, 0.0, filtered=name))
                    book.enter(name, self._records[at].id, "filtered", perf_counter() - began)
                    continue
                taken = None if step.route is None else step.route(views[at])
            except RecordError as error:
                self._fail(step, at, error)
                continue
            self._branch[name][at] = taken
            end = "made" if taken is None else f".{taken}"
            book.enter(name, self._records[at].id, end, perf_counter() - began)

    def _fail(self, step: Step, at: int, error: RecordError, outcome: TransformOutcome | None = None) -> None:
        name = step.node.name
        told = step.error(self._records[at].id, error)
        self._context.steps.enter(name, self._records[at].id, "failed", 0.0 if outcome is None else outcome.seconds)
        if step.criticality == "optional":
            self._state[name][at] = _PASSED
            if outcome is not None:
                self._made[name][at] = replace(outcome, output=None, error=None)
            return
        self._end(name, at, TransformOutcome(None, 0.0, told, on_failure=step.on_failure))

    def _end(self, name: str, at: int, outcome: TransformOutcome) -> None:
        """End a record in a step. Of parallel steps that end it, the first in the order of the graph counts."""
        self._state[name][at] = _ENDED
        rank = self._ranks[name]
        if at not in self._ends or rank < self._ends[at][0]:
            self._ends[at] = (rank, outcome)

    def _outcome(self, at: int) -> TransformOutcome:
        """Join what the steps made of a record."""
        seconds, spent, waits, by = 0.0, NOTHING, False, list[str]()
        made: list[tuple[str, TransformOutcome]] = []
        for node in self._graph.order:
            each = self._made[node.name][at]
            if each is None:
                continue
            seconds, waits = seconds + each.seconds, waits or each.waits
            spent = spent if each.spent is NOTHING else spent + each.spent
            if each.answered_by is not None:
                by.append(f"{node.name}: {each.answered_by}")
            if each.output:
                made.append((node.name, each))
        output = _merged({}, [each for _, each in made])
        end = self._ends[at][1] if at in self._ends else None
        error = end.error if end is not None else self._conflict(made)
        whole: dict[str, Any] | None = output or None
        if end is None and error is None:
            try:
                whole = self._output.of(output)
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
            on_failure=None if end is None else end.on_failure,
        )

    def _conflict(self, made: Sequence[tuple[str, TransformOutcome]]) -> RecordError | None:
        """Return the error of a record of which two steps made the same field that do not come after each other."""
        if not self._output.may_conflict:
            return None
        makers: dict[str, str] = {}
        for name, outcome in made:
            for field in outcome.output or {}:
                earlier = makers.get(field)
                if earlier is not None and not self._graph.related(earlier, name):
                    words = f"The steps {earlier} and {name} both make the field '{field}': let one need the other"
                    return RecordError(words, code="field_conflict", details={"step": name})
                makers[field] = name
        return None


def _merged(first: Mapping[str, Any], outcomes: Sequence[TransformOutcome | None]) -> dict[str, Any]:
    merged = dict(first)
    for outcome in outcomes:
        if outcome is not None and outcome.output:
            merged.update(outcome.output)
    return merged
