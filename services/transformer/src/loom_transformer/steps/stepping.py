"""Implements a transform that consists of steps: it takes a batch through their graph, in one visit.

What becomes of a record in a step depends on the step's own ancestors alone, and never on which of two parallel steps
ends first: so a batch that comes again asks the same questions, whose answers the journal has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom_ai.answers.shape import Shape
from loom_ai.rounds.asking import gravest
from loom_common.contracts.v1 import ExtractedRecord, RecordInSteps
from loom_common.domain.definition.failures.recovery import OnFailure
from loom_common.domain.steps.expressions import Expression
from loom_common.domain.steps.graph import Graph
from loom_common.domain.steps.keys import Criticality
from loom_common.domain.steps.nodes import Node
from loom_common.domain.steps.operators import GroupStep
from loom_common.domain.steps.queued.chains import Chain, chains_of
from loom_common.errors import PermanentError, RecordError
from loom_common.user_code.poison_isolation import MODEL_CALLS, USER_CODE, WHOLE_BATCHES, Risk
from loom_common.worker.context import Context
from loom_transformer.joining.resolve import Resolve
from loom_transformer.outcome import TransformOutcome
from loom_transformer.steps.batch import BatchInSteps
from loom_transformer.steps.carrying import restored
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
        self,
        graph: Graph,
        steps: Mapping[str, Step],
        output: Output,
        risks: Mapping[str, Risk],
        own: Collection[str] = (),
        *,
        parallel: bool = True,
    ) -> None:
        """Take the steps by their names, and what those are to their process that are a danger to it. Those in `own`
        come over queues of their own. `parallel` says whether steps that do not wait for each other run at the same
        time."""
        self.graph = graph
        self.steps = steps
        self.output = output
        self.risks = risks
        self.parallel = parallel
        whole = Chain(tuple(node.name for node in graph.order))
        cut = chains_of(graph, own) if own else (whole,)
        self._whole = ChainOfSteps(self, whole, None)
        self._chains = list[ChainOfSteps]()
        for chain in reversed(cut):
            self._chains.insert(0, ChainOfSteps(self, chain, self._chains[0] if self._chains else None))

    @property
    def first(self) -> ChainOfSteps:
        """Return the chain that every batch begins with."""
        return self._chains[0]

    @property
    def risk(self) -> Risk | None:
        """Return the risk of all steps together."""
        return self._whole.risk

    def after(self, taken: Collection[str]) -> ChainOfSteps:
        """Return the chain of steps that is next for a batch that has been through others."""
        return next((each for each in self._chains if not set(each.steps).issubset(taken)), self._chains[-1])

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        """Take a batch through all steps, in this process."""
        return await self._whole.apply(run_id, records, context, again)


class ChainOfSteps:
    """Takes batches through steps of a graph that are taken in one process."""

    def __init__(self, whole: StepsTransform, chain: Chain, following: ChainOfSteps | None) -> None:
        """`following` is the next chain of the graph; None after the last one."""
        self.chain = chain
        self.following = following
        self._whole = whole
        graph, steps = whole.graph, whole.steps
        self._nodes = [graph.by_name[name] for name in chain.steps]
        found = {whole.risks[name] for name in chain.steps if name in whole.risks}
        self.risk = next((each for each in (WHOLE_BATCHES, USER_CODE, MODEL_CALLS) if each in found), None)
        names = set(chain.steps)
        self._before = {name: [each for each in graph.before[name] if each in names] for name in chain.steps}
        self._is_chain = not whole.parallel or all(
            set(self._before[later.name]) == {earlier.name}
            for earlier, later in zip(self._nodes, self._nodes[1:], strict=False)
        )
        waiting = [name for name in chain.steps if steps[name].waits]
        self._watched = waiting[-1] if waiting else None

    @property
    def steps(self) -> tuple[str, ...]:
        """Return the names of the steps."""
        return self.chain.steps

    @property
    def queue(self) -> str | None:
        """Return the step whose own queue batches come over; None for the transformers' queue."""
        return self.chain.queue

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord | RecordInSteps], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        """Take a batch through the steps. The outcomes of records hold these where further steps are to come."""
        whole = self._whole
        batch = BatchInSteps(run_id, restored(whole.graph, records), context, again, whole.output, self._watched)
        if self._is_chain:
            for node in self._nodes:
                await batch.take(whole.steps[node.name])
        else:
            await self._side_by_side(batch)
        queue = None if self.following is None else self.following.queue
        return batch.outcomes(None if queue is None else whole.steps[queue], whole=self.following is None)

    async def _side_by_side(self, batch: BatchInSteps) -> None:
        ended = {node.name: asyncio.Event() for node in self._nodes}

        async def one(node: Node) -> None:
            for name in self._before[node.name]:
                await ended[name].wait()
            await batch.take(self._whole.steps[node.name])
            ended[node.name].set()

        try:
            async with asyncio.TaskGroup() as group:
                for node in self._nodes:
                    group.create_task(one(node))
        except ExceptionGroup as failures:
            raise gravest(failures) from None
