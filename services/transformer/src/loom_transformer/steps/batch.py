"""Takes the records of one batch through steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.steps.grouping import member_of
from loom_common.domain.steps.resolving import MEMBERS
from loom_common.errors import RecordError
from loom_common.worker.context import Context, Progress
from loom_transformer.outcome import TransformOutcome
from loom_transformer.steps.outcomes import outcomes_amid, outcomes_of
from loom_transformer.steps.reshaping import gathered, opened
from loom_transformer.steps.standing import states_before
from loom_transformer.steps.state import PASSED, RAN, BatchState

if TYPE_CHECKING:
    from loom_transformer.joining.resolve import Resolve
    from loom_transformer.steps.dedupe import Dedupe
    from loom_transformer.steps.stepping import Output, Step

View = dict[str, Any]


class BatchInSteps:
    """Takes the records of one batch through steps, each of which is taken once, after those before it."""

    def __init__(
        self,
        run_id: str,
        batch: BatchState,
        context: Context,
        again: int,
        output: Output,
        watched: str | None,
    ) -> None:
        """`watched` names the step that the progress of the batch is told of."""
        self._run_id = run_id
        self._context = context
        self._again = again
        self._output = output
        self._watched = watched
        self._batch = batch

    async def take(self, step: Step) -> None:
        """Take the records through a step. Raises what the step's transform raises about more than a record, and
        `PermanentError` where a critical step fails."""
        batch, name, size = self._batch, step.node.name, len(self._batch.rows)
        views = self._batch.views(step.node)
        batch.made[name], batch.branch[name] = [None] * size, [None] * size
        batch.state[name] = states_before(batch, step.node)
        chosen = list(self._chosen(step, views))
        if step.resolve is not None:
            views = await self._resolve(step, step.resolve, chosen, views)
        if step.apply is not None:
            await self._transform(step, chosen, views)
        elif step.opening is not None or step.gathered is not None:
            self._reshape(step, chosen, views)
        else:
            if step.dedupe is not None:
                await self._dedupe(step, step.dedupe, chosen, views)
            else:
                self._decide(step, chosen, views)
            batch.after[name] = views

    def outcomes(self, upcoming: Step | None = None, *, whole: bool = True) -> list[TransformOutcome]:
        """Return one outcome per record, in order. Where that is not the `whole` graph, the outcomes of records that go
        on hold these, and tell whether the `upcoming` step, which has a queue of its own, works on them."""
        if whole:
            return outcomes_of(self._batch, self._output)
        return outcomes_amid(self._batch, self._output, set() if upcoming is None else self._wanted(upcoming))

    def _wanted(self, step: Step) -> set[int]:
        """Return the records that a step would work on, which this process does not take."""
        batch, name = self._batch, step.node.name
        batch.branch[name] = [None] * len(batch.rows)
        states, views = states_before(batch, step.node), batch.views(step.node)
        del batch.branch[name]
        return {at for at, state in enumerate(states) if state == RAN and _may_hold(step, views[at])}

    def _chosen(self, step: Step, views: Sequence[View]) -> Iterator[int]:
        """Yield the records that the step works on."""
        state = self._batch.state[step.node.name]
        for at, known in enumerate(state):
            if known != RAN:
                continue
            try:
                if step.when is None or step.when.holds(views[at]):
                    yield at
                    continue
            except RecordError as error:
                self._fail(step, at, error)
                continue
            state[at] = PASSED
            self._enter(step, at, "passed")

    async def _transform(self, step: Step, chosen: Sequence[int], views: Sequence[View]) -> None:
        """Add the output of the step to each record."""
        name, made = step.node.name, self._batch.made[step.node.name]
        if chosen and step.apply is not None:
            context = replace(
                self._context,
                usage=self._context.steps.usage(name, self._context.usage),
                progress=self._context.progress if name == self._watched else Progress(),
            )
            given = [ExtractedRecord(id=self._batch.rows.records[at].id, input=views[at]) for at in chosen]
            outcomes = await step.apply(self._run_id, given, context, self._again)
            for at, outcome in zip(chosen, outcomes, strict=True):
                made[at] = outcome
                if outcome.filtered is not None:
                    self._batch.end(name, at, TransformOutcome(None, 0.0, filtered=name))
                    self._enter(step, at, "filtered", outcome.seconds)
                elif outcome.error is None:
                    self._enter(step, at, "made", outcome.seconds)
                else:
                    self._fail(step, at, outcome.error, outcome)
        self._batch.after[name] = [
            view if each is None or not each.output else {**view, **each.output}
            for view, each in zip(views, made, strict=True)
        ]

    async def _resolve(self, step: Step, resolve: Resolve, chosen: list[int], views: Sequence[View]) -> list[View]:
        """Put the records that go on in the place of those of each block. Blocks that fail are taken out of those that
        are `chosen`."""
        found = list(views)
        if chosen:
            context = replace(self._context, usage=self._context.steps.usage(step.node.name, self._context.usage))
            given = [ExtractedRecord(id=self._batch.rows.records[at].id, input=views[at]) for at in chosen]
            made = await resolve.apply(self._run_id, given, context, self._again)
            for at, parts in zip(list(chosen), made, strict=True):
                if isinstance(parts, RecordError):
                    self._fail(step, at, parts)
                    chosen.remove(at)
                else:
                    found[at] = {**views[at], MEMBERS: parts}
        return found

    def _decide(self, step: Step, chosen: Sequence[int], views: Sequence[View]) -> None:
        """Filter or route the records, or add them to groups."""
        name = step.node.name

        def one(at: int) -> str:
            if step.grouping is not None:
                member = member_of(step.grouping, self._batch.rows.records[at].id, views[at])
                self._batch.end(name, at, TransformOutcome(None, 0.0, grouped=member))
                return "made"
            if step.where is not None and not step.where.holds(views[at]):
                self._batch.end(name, at, TransformOutcome(None, 0.0, filtered=name))
                return "filtered"
            taken = self._batch.branch[name][at] = None if step.route is None else step.route(views[at])
            return "made" if taken is None else f".{taken}"

        self._each(step, chosen, one)

    async def _dedupe(self, step: Step, dedupe: Dedupe, chosen: Sequence[int], views: Sequence[View]) -> None:
        """Drop the records whose values another one had before."""
        digests: dict[int, str | None] = {}
        for at in chosen:
            try:
                digests[at] = dedupe.digest(views[at])
            except RecordError as error:
                self._fail(step, at, error)
        compared = [(at, digest) for at, digest in digests.items() if digest is not None]
        ids = [(self._batch.rows.records[at].id, digest) for at, digest in compared]
        firsts = await dedupe.firsts(self._run_id, ids) if ids else ()
        repeated = {at for (at, _), (own, _), first in zip(compared, ids, firsts, strict=True) if own != first}

        def one(at: int) -> str:
            if at not in repeated:
                return "made"
            self._batch.end(step.node.name, at, TransformOutcome(None, 0.0, filtered=step.node.name))
            return "filtered"

        self._each(step, list(digests), one)

    def _reshape(self, step: Step, chosen: Sequence[int], views: Sequence[View]) -> None:
        """Make several records of each, or one of those that were made so."""
        name, after = step.node.name, list(views)
        self._batch.after[name] = after

        def one(at: int) -> str:
            if step.opening is not None:
                number = opened(self._batch, step.node, step.opening, at, views[at])
                self._context.steps.derive(name, self._batch.rows.records[at].id, number or 0)
                return "filtered" if number is None else "made"
            outcome = gathered(self._batch, step.node, step.gathered or {}, at)
            if outcome.error is not None:
                self._batch.end(name, at, outcome)
                return "failed"
            self._batch.made[name][at] = outcome
            after[at] = {**views[at], **(outcome.output or {})}
            return "made"

        self._each(step, chosen, one)

    def _each(self, step: Step, chosen: Sequence[int], one: Callable[[int], str]) -> None:
        """Do to each record what the step does, and count how it ended there."""
        for at in chosen:
            began = perf_counter()
            try:
                end = one(at)
            except RecordError as error:
                self._fail(step, at, error)
                continue
            self._enter(step, at, end, perf_counter() - began)

    def _fail(self, step: Step, at: int, error: RecordError, outcome: TransformOutcome | None = None) -> None:
        name = step.node.name
        skipped = outcome is not None and outcome.on_failure == "skip"
        told = step.told(error) if skipped else step.error(self._batch.rows.records[at].id, error)
        self._enter(step, at, "failed", 0.0 if outcome is None else outcome.seconds)
        if step.criticality == "optional" and not skipped:
            self._batch.state[name][at] = PASSED
            if outcome is not None:
                self._batch.made[name][at] = replace(outcome, output=None, error=None)
            return
        self._batch.end(name, at, TransformOutcome(None, 0.0, told, on_failure="skip" if skipped else step.on_failure))

    def _enter(self, step: Step, at: int, end: str, seconds: float = 0.0) -> None:
        self._context.steps.enter(step.node.name, self._batch.rows.records[at].id, end, seconds)


def _may_hold(step: Step, view: View) -> bool:
    """Tell whether the `when` of a step is true of a record; a record that it cannot be told of fails in the step."""
    try:
        return step.when is None or step.when.holds(view)
    except RecordError:
        return True
