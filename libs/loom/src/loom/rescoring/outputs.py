"""Gives the outputs that a run made, batch by batch: those that were kept back as they were kept, the others by reading
the source once more and asking the journal what the transform was answered."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loom.rescoring import before
from loom.rescoring.before import KeptOutput, Known
from loom_common.async_engine import AsyncEngine
from loom_common.contracts.v1 import BatchExtracted, BatchHeader, ExtractSlice, TransformedRecord
from loom_common.domain.run.piece import Piece
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.tally import Tally
from loom_common.domain.values import ids
from loom_common.domain.values.sampling import sampled
from loom_common.errors import PermanentError
from loom_common.sealing.sealer import Sealer
from loom_common.worker.consumer_spec import Handler
from loom_common.worker.context import Context
from loom_common.worker.slices import Slice, SliceRecord
from loom_common.worker.stage_result import Transformed, extracted_records
from loom_coordinator.db.outputs.rescorings import PASSED
from loom_coordinator.db.run import Run

_BATCHES = 4
"""The number of batches that are read from the source at once."""


@dataclass(frozen=True, slots=True)
class Before:
    """Holds what the run said of a record."""

    verdict: str
    loaded: bool
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Outputs:
    """Holds outputs, each with what the run said of it, and records whose output is no longer to be had."""

    records: tuple[TransformedRecord, ...] = ()
    before: Mapping[str, Before] = field(default_factory=dict)
    gone: Mapping[str, str] = field(default_factory=dict)
    """Holds, by the id of a record that was loaded, why its output is gone."""
    without_output: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Holds the input of these records."""
    settled: Mapping[str, int] = field(default_factory=dict)
    """Counts records that are left out, by what became of them: `discarded`, `reprocessed`, `manual_fix`."""
    new: int = 0
    """Counts records of the source that the run has not read."""
    from_source: bool = False


class Source:
    """Reads the outputs of one run."""

    def __init__(
        self,
        engine: AsyncEngine,
        run: Run,
        plan: Plan,
        read: Handler[ExtractSlice, Slice],
        transform: Handler[BatchExtracted, Transformed],
        sealer: Sealer | None,
    ) -> None:
        """Take what reads slices and transforms batches, as the handlers of the stages do; and what opens sensitive
        fields, where there are some."""
        self._engine = engine
        self._run = run
        self._plan = plan
        self._read = read
        self._transform = transform
        self._sealer = sealer
        self.trouble: str | None = None
        """Says why the source cannot be read; None where it can."""

    def comparable(self, output: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an output that is equal to another one if and only if their values are. Those of sensitive fields
        cannot be read in it."""
        if self._sealer is None:
            return output
        compared: Mapping[str, Any] = self._sealer.comparable(output)
        return compared

    async def kept(self, *, settled: bool = False) -> AsyncIterator[Outputs]:
        """Yield the outputs of records that were kept back; with `settled` also of those that were given up, or loaded
        by a replay."""
        after, size = 0, self._plan.pipeline.extract.batch_size
        while page := await before.kept_outputs(self._engine, self._run.run_id, after, size):
            yield _of_kept(page, settled=settled)
            after = page[-1].id

    async def read(self, wanted: frozenset[str] | None = None) -> AsyncGenerator[Outputs, None]:
        """Yield the outputs of the other records; of those alone whose ids are `wanted`. Where the source cannot be
        read any more, say so in `trouble`."""
        for partition, piece in await before.pieces_of(self._engine, self._run.run_id):
            try:
                async for outputs in self._piece(partition, None if piece is None else Piece(**piece), wanted):
                    yield outputs
            except PermanentError as error:
                self.trouble = str(error)
                return

    async def _piece(
        self, partition: int, piece: Piece | None, wanted: frozenset[str] | None
    ) -> AsyncIterator[Outputs]:
        cursor, number, left = None if piece is None else piece.start, 0, self._plan.limit
        while True:
            request = ExtractSlice(
                run_id=self._run.run_id,
                pipeline=self._run.pipeline_name,
                plan=self._run.plan,
                epoch=1,
                partition=partition,
                slice=number,
                piece=piece,
                cursor=cursor,
                max_batches=_BATCHES,
                limit=left,
            )
            part = await self._read(request, Context())
            for position, batch in enumerate(part.batches):
                records = [each for each in batch.records if wanted is None or each.id in wanted]
                if records:
                    yield await self._transformed(records, partition, number, position)
                if left is not None:
                    left -= batch.extracted
            if part.end:
                return
            cursor, number = part.cursor, number + 1

    async def _transformed(self, records: Sequence[SliceRecord], partition: int, number: int, position: int) -> Outputs:
        known = await before.known(self._engine, self._run.run_id, [record.id for record in records])
        mine = [record for record in records if self._passed(record.id, known)]
        new = len(records) - len(mine) - sum(record.id in known.kept for record in records)
        if not mine:
            return Outputs(new=new, from_source=True)
        header = BatchHeader(
            run_id=self._run.run_id,
            pipeline=self._run.pipeline_name,
            plan=self._run.plan,
            epoch=1,
            batch_id=ids.batch_id(f"again/{self._run.run_id}", partition, number, position),
            partition=partition,
            slice=number,
            position=position,
            tally=Tally(),
        )
        made = await self._transform(BatchExtracted(header=header, records=extracted_records(mine)), Context())
        return Outputs(
            records=tuple(made.records),
            before={
                each.id: Before(PASSED, loaded=True, scores=known.scores.get(each.id, {})) for each in made.records
            },
            gone={each.record_id: each.reason for each in made.kept},
            without_output={each.record_id: each.input for each in made.kept},
            new=new,
            from_source=True,
        )

    def _passed(self, record_id: str, known: Known) -> bool:
        """Tell whether the run's gate let the record through: it was evaluated and not kept back, or was not to be
        evaluated."""
        if record_id in known.kept:
            return False
        evaluate = self._plan.pipeline.evaluate
        return record_id in known.scores or evaluate is None or not sampled(record_id, evaluate.sample)


def _of_kept(page: Sequence[KeptOutput], *, settled: bool) -> Outputs:
    left_out: dict[str, int] = {}
    for each in page:
        if each.settled and not settled:
            how = each.resolution_action or "resolved"
            left_out[how] = left_out.get(how, 0) + 1
    judged = [each for each in page if settled or not each.settled]
    return Outputs(
        records=tuple(TransformedRecord(each.record_id, each.record_data, each.output) for each in judged),
        before={each.record_id: Before(each.verdict, each.loaded, each.evaluation_scores or {}) for each in judged},
        settled=left_out,
    )
