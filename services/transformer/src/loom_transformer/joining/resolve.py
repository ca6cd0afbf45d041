"""Finds which records of a block are the same entity, and makes the records that go on: all of them with the id of
their entity, or one of each entity.

What comes out depends on the records of the block alone: they are compared in the order of their ids, and the id of an
entity is the least of those of its records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom_ai.answers.text_vectors import TextVectors, each_with_each
from loom_ai.ports import Payer
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.prompts.shown import Shown
from loom_common.domain.steps.asking import OTHER, SAME, SURE
from loom_common.domain.steps.functions.aggregates import Folded
from loom_common.domain.steps.functions.entities import Pair, chosen, entities, pairs
from loom_common.domain.steps.operators import aggregates
from loom_common.domain.steps.resolving import MEMBERS, ResolveStep, own_fields
from loom_common.domain.values.ids import bounded
from loom_common.errors import RecordError, TransientError
from loom_common.worker.context import Context
from loom_transformer.outcome import TransformOutcome, given_up

Ask = Callable[[str, Sequence[ExtractedRecord], Context, int], Any]


@dataclass(frozen=True, slots=True)
class _Block:
    """Holds the records of a block in the order of their ids, and the pairs of them that are compared."""

    ids: Sequence[str]
    records: Sequence[Mapping[str, Any]]
    places: Sequence[int]
    """The places of the records in the order of the source."""
    compared: Sequence[Pair]
    left_out: int
    """Says how many pairs are not compared because they are too many."""


class Resolve:
    """Resolves the records of blocks. A model is asked about each pair, where the step names one."""

    def __init__(self, step: ResolveStep, ask: Ask | None = None, vectors: TextVectors | None = None) -> None:
        """`ask` asks the model about pairs; without it, how alike they are decides. `vectors` tells how alike the texts
        of records are; without it, the parts that both have."""
        self._step = step
        self._ask = ask
        self._vectors = vectors
        self._own = own_fields(step)
        self._functions = aggregates(step)

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int
    ) -> list[list[dict[str, Any]] | RecordError]:
        """Return for each block the records that go on, or why they cannot be told. Raises what asking the model raises
        about more than a record."""
        blocks = [await self._block(run_id, record, context) for record in records]
        same: list[list[tuple[int, int]] | RecordError]
        if self._ask is None:
            same = [each if isinstance(each, RecordError) else [pair[:2] for pair in each.compared] for each in blocks]
        else:
            same = await self._asked(self._ask, run_id, records, blocks, context, again)
        made: list[list[dict[str, Any]] | RecordError] = []
        for record, block, joined in zip(records, blocks, same, strict=True):
            error = next((each for each in (block, joined) if isinstance(each, RecordError)), None)
            if isinstance(block, _Block) and isinstance(joined, list):
                made.append(self._made(record.input, block, joined))
            elif error is not None:
                made.append(error)
        return made

    async def _block(self, run_id: str, record: ExtractedRecord, context: Context) -> _Block | RecordError:
        """Return the records of a block with the pairs to compare, or say why they cannot be compared."""
        members = sorted(enumerate(record.input[MEMBERS]), key=lambda each: (each[1]["id"], each[0]))
        texts: list[str] = []
        for _, member in members:
            if lacking := [name for name in self._step.compare if name not in member["record"]]:
                words = f"the record {member['id']} has no field '{lacking[0]}'"
                return RecordError(words, code="missing_field")
            texts.append(" ".join(_text(member["record"][name]) for name in self._step.compare))
        step, found = self._step, list[Pair]()
        if self._vectors is None:
            found = await asyncio.to_thread(pairs, texts, step.at_least, step.candidates)
        else:
            payer = Payer(run_id, record.id, context.usage)
            try:
                vectors = await self._vectors.of(texts, [payer] * len(texts))
            except TransientError as trouble:
                return given_up(trouble, context.attempt)
            if error := next((each for each in vectors if isinstance(each, RecordError)), None):
                return error
            known = [each for each in vectors if not isinstance(each, RecordError)]
            if len({len(each) for each in known}) > 1:
                words = "the embedding model gave vectors of several lengths; see `dimensions` of the `embedding`"
                return RecordError(words, code="wrong_dimensions")
            alike = await asyncio.to_thread(each_with_each, known)
            found = chosen((Pair(*each) for each in alike), step.at_least, step.candidates)
        most = len(found) if self._ask is None else self._step.max_comparisons
        return _Block(
            [member["id"] for _, member in members],
            [member["record"] for _, member in members],
            [place for place, _ in members],
            found[:most],
            len(found) - len(found[:most]),
        )

    async def _asked(
        self,
        ask: Ask,
        run_id: str,
        records: Sequence[ExtractedRecord],
        blocks: Sequence[_Block | RecordError],
        context: Context,
        again: int,
    ) -> list[list[tuple[int, int]] | RecordError]:
        """Return for each block the pairs that are the same by the model, or the error of the first that it could not
        be asked about."""
        asked, owners = list[ExtractedRecord](), list[tuple[int, Pair]]()
        for at, block in enumerate(blocks):
            for pair in () if isinstance(block, RecordError) else block.compared:
                assert isinstance(block, _Block)
                name = bounded(f"{records[at].id}#{block.ids[pair.one]}~{block.ids[pair.other]}")
                shown = Shown(block.records[pair.one], {OTHER: dict(block.records[pair.other])})
                asked.append(ExtractedRecord(name, shown))
                owners.append((at, pair))
        answers: Sequence[TransformOutcome] = await ask(run_id, asked, context, again) if asked else ()
        found: list[list[tuple[int, int]] | RecordError] = [
            each if isinstance(each, RecordError) else [] for each in blocks
        ]
        for (at, pair), answer in zip(owners, answers, strict=True):
            same = found[at]
            if isinstance(same, RecordError):
                continue
            if answer.error is not None:
                found[at] = answer.error
            elif answer.output and answer.output[SAME] and answer.output[SURE] >= self._step.confidence:
                same.append(pair[:2])
        return found

    def _made(
        self, view: Mapping[str, Any], block: _Block, same: Sequence[tuple[int, int]]
    ) -> list[dict[str, Any]] | RecordError:
        """Return the records of the entities of a block, or why one of them cannot be made."""
        made: list[dict[str, Any]] = []
        own = {self._own["block"]: view[self._own["block"]], self._own["uncompared"]: block.left_out}
        for entity in entities(len(block.ids), same):
            known = {self._own["id"]: block.ids[entity[0]], **own}
            in_order = sorted(entity, key=block.places.__getitem__)
            if self._step.fields is None:
                made += [{**block.records[at], **known} for at in in_order]
                continue
            folded = Folded(self._functions, self._step.max_block)
            for at in in_order:
                folded.add(block.ids[at], block.records[at])
            if folded.error is not None:
                return folded.error
            made.append({**{name: view[name] for name in self._step.block}, **folded.fields, **known})
        return made


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)
