"""Implements a transform that consists of steps: it takes a batch through their graph, in one visit.

What becomes of a record in a step depends on the step's own ancestors alone, and never on which of two parallel steps
ends first: so a batch that comes again asks the same questions, whose answers the journal has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom_ai.answers.shape import Shape
from loom_ai.rounds.asking import gravest
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.definition.failures.recovery import OnFailure
from loom_common.domain.steps.expressions import Expression
from loom_common.domain.steps.graph import Graph, Node
from loom_common.domain.steps.keys import Criticality
from loom_common.domain.steps.operators import GroupStep
from loom_common.errors import PermanentError, RecordError
from loom_common.user_code.poison_isolation import Risk
from loom_common.worker.context import Context
from loom_transformer.joining.resolve import Resolve
from loom_transformer.outcome import TransformOutcome
from loom_transformer.steps.batch import BatchInSteps
from loom_transformer.steps.dedupe import Dedupe
from loom_transformer.steps.parts import Opening

Applied = Callable[[str, Sequence[ExtractedRecord], Context, int], Any]
"""Applies the transform of a step, tried again as the step says."""


@dataclass(frozen=True, slots=True)
class Step:
    """Holds what one step does."""

    node: Node
    when: Expression | None
    criticality: Criticality
    on_failure: OnFailure | None = None
    """Says what becomes of a record that it fails on; None for what the transform says."""
    apply: Applied | None = None
    """None for a step that makes no output."""
    where: Expression | None = None
    """Says what is true of records that go on from a filter."""
    route: Callable[[Mapping[str, Any]], str] | None = None
    """Gives the branch that a record takes from a router. Raises `RecordError` where it takes none."""
    waits: bool = False
    """Tells whether it waits for the answers of models."""
    opening: Opening | None = None
    """Makes several records of one."""
    gathered: Mapping[str, str] | None = None
    """Names the fields whose lists it makes of such records, by the names of the lists."""
    resolve: Resolve | None = None
    """Says, before `opening`, which records of a block are the same."""
    dedupe: Dedupe | None = None
    """Finds records that have the values of another one, which end there."""
    grouping: GroupStep | None = None
    """Says how it groups records, each of which ends there."""

    def error(self, record_id: str, error: RecordError) -> RecordError:
        """Return the error of a record that the step fails on. Raises `PermanentError` where that fails the run."""
        told = self.told(error)
        if self.criticality == "critical":
            raise PermanentError(f"Record {record_id}: {told} (criticality: critical)") from error
        return told

    def told(self, error: RecordError) -> RecordError:
        """Return an error that names the step."""
        return RecordError(
            f"Step {self.node.name}: {error}", code=error.code, details={**error.details, "step": self.node.name}
        )


@dataclass(frozen=True, slots=True)
class Output:
    """Says what the output of a record is, of what its steps made."""

    makes_any: bool
    """Says whether any step makes fields; else the output is the input."""
    shape: Shape | None = None
    """The declared shape, which leaves out the fields that it does not name."""
    names: frozenset[str] | None = None
    """The fields that the declared shape names; None for all."""
    numbers: tuple[str, ...] = ()
    """The fields that hold the number of a record among those made of one; 0 in a record that was not unnested."""
    may_conflict: bool = False
    """Says whether steps that do not need each other may make the same field, as not all fields are declared."""

    def of(self, made: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the output. Raises `RecordError` where it does not have the declared shape."""
        if not self.makes_any:
            return None
        made = {**dict.fromkeys(self.numbers, 0), **made} if self.numbers else made
        output = dict(made) if self.names is None else {name: made[name] for name in made if name in self.names}
        if self.shape is not None:
            self.shape.check(output)
        return output


class StepsTransform:
    """Takes batches through a graph of steps. Steps that do not wait for each other run at the same time."""

    def __init__(
        self, graph: Graph, steps: Mapping[str, Step], output: Output, risk: Risk | None, *, parallel: bool = True
    ) -> None:
        """Take the steps by their names. `parallel` says whether those that do not wait for each other run at the same
        time."""
        self.risk = risk
        self._graph = graph
        self._steps = steps
        self._output = output
        self._is_chain = not parallel or all(
            set(graph.before[later.name]) == {earlier.name}
            for earlier, later in zip(graph.order, graph.order[1:], strict=False)
        )
        waiting = [node.name for node in graph.order if steps[node.name].waits]
        self._watched = waiting[-1] if waiting else None

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        batch = BatchInSteps(run_id, records, context, again, self._graph, self._output, self._watched)
        if self._is_chain:
            for node in self._graph.order:
                await batch.take(self._steps[node.name])
            return batch.outcomes()
        ended = {node.name: asyncio.Event() for node in self._graph.order}

        async def one(node: Node) -> None:
            for name in self._graph.before[node.name]:
                await ended[name].wait()
            await batch.take(self._steps[node.name])
            ended[node.name].set()

        try:
            async with asyncio.TaskGroup() as group:
                for node in self._graph.order:
                    group.create_task(one(node))
        except ExceptionGroup as failures:
            raise gravest(failures) from None
        return batch.outcomes()
