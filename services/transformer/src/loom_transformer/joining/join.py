"""Adds to each record fields of the row of another source that matches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

from loom_ai.ports import Payer
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.prompts.shown import Shown
from loom_common.domain.run.plan import Plan
from loom_common.domain.steps.asking import CANDIDATES, MATCH
from loom_common.domain.steps.functions.matching import words_of
from loom_common.domain.steps.grouping import group_hash, value_of
from loom_common.domain.steps.joining import JoinStep
from loom_common.domain.values.plural import counted
from loom_common.domain.values.urls import redacted
from loom_common.errors import RecordError, TransientError
from loom_common.ports.joined_tables import JoinedTable, Row
from loom_common.worker.context import Context
from loom_transformer.joining.near_rows import NearRows, text_of
from loom_transformer.joining.tables import OtherSources
from loom_transformer.outcome import TransformOutcome, given_up

Ask = Callable[[str, Sequence[ExtractedRecord], Context, int], Any]
_SHOWN_VERSION = 12
_LONGEST = 100


class Join:
    """Joins the records of a step's batches. A model is asked only where there is a row to choose."""

    def __init__(
        self,
        plan: Plan,
        step: JoinStep,
        sources: OtherSources,
        asking: Callable[[int], Ask] | None = None,
        near: NearRows | None = None,
    ) -> None:
        """`asking` gives what asks the model which of so many candidates matches; None where keys or vectors decide.
        `near` finds candidates by vectors; None where they are found otherwise."""
        self._plan = plan
        self._step = step
        self._sources = sources
        self._asking = asking
        self._near = near
        self._asks: dict[int, Ask] = {}

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int
    ) -> list[TransformOutcome]:
        """Return one outcome per record, in order. Raises what reading the other source and asking the model raise
        about more than a record."""
        began = perf_counter()
        table = await self._sources.table_of(self._plan, run_id, self._step)
        found = await self._candidates(table, run_id, records, context)
        outcomes: list[TransformOutcome | None] = [None] * len(records)
        seconds = (perf_counter() - began) / max(1, len(records))
        by_count: dict[int, list[int]] = {}
        for at, rows in enumerate(found):
            if isinstance(rows, RecordError):
                outcomes[at] = TransformOutcome(None, seconds, rows)
            elif self._asking is not None and rows:
                by_count.setdefault(len(rows), []).append(at)
            else:
                outcomes[at] = self._joined(rows, TransformOutcome(None, seconds), table)
        for count, places in sorted(by_count.items()):
            candidates = {at: rows for at in places if not isinstance(rows := found[at], RecordError)}
            asked = [ExtractedRecord(records[at].id, _shown(records[at].input, candidates[at])) for at in places]
            answers = await self._ask(count)(run_id, asked, context, again)
            for at, answer in zip(places, answers, strict=True):
                outcomes[at] = self._chosen(candidates[at], answer, table)
        return [each for each in outcomes if each is not None]

    def _ask(self, count: int) -> Ask:
        if count not in self._asks:
            assert self._asking is not None
            self._asks[count] = self._asking(count)
        return self._asks[count]

    async def _candidates(
        self, table: JoinedTable, run_id: str, records: Sequence[ExtractedRecord], context: Context
    ) -> list[Sequence[Row] | RecordError]:
        """Return the rows that may match each record, or say why there are none."""
        step, found = self._step, list[Sequence[Row] | RecordError]()
        if step.on is not None:
            keys = [_key(record.input, list(step.on)) for record in records]
            most = step.candidates if step.model is not None else 2
            wanted = [key for key in keys if isinstance(key, str)]
            rows = await self._sources.store.with_keys(table.name, wanted, most) if wanted else {}
            found += [key if isinstance(key, RecordError) else rows.get(key or "", ()) for key in keys]
            return found
        values = [_values(record.input, list(step.alike or ())) for record in records]
        if self._near is not None:
            return await self._nearest(self._near, table, run_id, records, values, context)
        known = [words_of(each) for each in values if not isinstance(each, RecordError)]
        ranked = iter(await self._sources.store.with_words(table, known, step.candidates) if known else ())
        return [each if isinstance(each, RecordError) else next(ranked) for each in values]

    async def _nearest(
        self,
        near: NearRows,
        table: JoinedTable,
        run_id: str,
        records: Sequence[ExtractedRecord],
        values: Sequence[Sequence[Any] | RecordError],
        context: Context,
    ) -> list[Sequence[Row] | RecordError]:
        """Return the rows whose texts are nearest to that of each record; without a model the nearest alone."""
        known = {at: text_of(each) for at, each in enumerate(values) if not isinstance(each, RecordError)}
        payers = [Payer(run_id, records[at].id, context.usage) for at in known]
        most = self._step.candidates if self._step.model is not None else 1
        rows: Sequence[Sequence[Row] | RecordError]
        try:
            rows = await near.of(self._sources.store, table, list(known.values()), payers, most)
        except TransientError as trouble:
            rows = [given_up(trouble, context.attempt)] * len(known)
        found = dict(zip(known, rows, strict=True))
        return [each if isinstance(each, RecordError) else found[at] for at, each in enumerate(values)]

    def _chosen(self, rows: Sequence[Row], answer: TransformOutcome, table: JoinedTable) -> TransformOutcome:
        """Return the outcome of a record whose row a model has chosen."""
        if answer.error is not None:
            return answer
        number = (answer.output or {})[MATCH]
        return self._joined(rows[number - 1 : number] if number else (), replace(answer, output=None), table)

    def _joined(self, rows: Sequence[Row], outcome: TransformOutcome, table: JoinedTable) -> TransformOutcome:
        step = self._step
        if not rows and step.missing == "skip":
            return replace(outcome, filtered=step.name)
        if not rows and step.missing == "fail":
            words = f"no row of {redacted(step.source)} matches the record"
            return replace(outcome, error=RecordError(words, code="no_match"))
        if len(rows) > 1 and step.several == "fail":
            words = f"{counted(len(rows), 'row')} or more of {redacted(step.source)} match the record"
            return replace(outcome, error=RecordError(f"{words}; see `several`", code="several_matches"))
        row: Row = rows[0] if rows else {}
        made = {name: row.get(column) for name, column in step.columns.items()}
        place = redacted(step.source)[:_LONGEST]
        return replace(outcome, output=made, answered_by=f"{place}@{table.version[:_SHOWN_VERSION]}")


def _key(view: Mapping[str, Any], names: Sequence[str]) -> str | RecordError | None:
    """Return the hash of a record's values; None where one is null."""
    try:
        values = [value_of(view, name) for name in names]
    except RecordError as error:
        return error
    return None if None in values else group_hash(values)


def _values(view: Mapping[str, Any], names: Sequence[str]) -> Sequence[Any] | RecordError:
    for name in names:
        if name not in view:
            return RecordError(f"the record has no field '{name}'", code="missing_field")
    return [view[name] for name in names]


def _shown(view: Mapping[str, Any], rows: Sequence[Row]) -> Shown:
    """Return a record's input as the question sees it: with the candidates by their numbers, from 1."""
    return Shown(view, {CANDIDATES: dict(enumerate(map(dict, rows), 1))})
