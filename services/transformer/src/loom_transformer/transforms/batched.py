"""Gives a scorer the texts of several records at once, which is quicker for most models than one text at a time.

A call that fails, takes too long or answers with another number of outputs is made again for each of its texts alone,
so that only the record at fault is kept back."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from loom_common.errors import RecordError, WorkerWornOut
from loom_common.user_code.poison_isolation import Risk
from loom_common.worker.context import Context
from loom_transformer.outcome import TransformOutcome
from loom_transformer.scoring.answers import output_of
from loom_transformer.scoring.calls import Calls
from loom_transformer.scoring.micro_batches import MicroBatches

if TYPE_CHECKING:
    from loom_ai.answers.shape import Shape
    from loom_common.contracts.v1 import ExtractedRecord


@dataclass(frozen=True, slots=True)
class _Text:
    """Holds the text of one record of a batch."""

    place: int
    id: str
    text: str


class Batched:
    """Scores the texts of a batch of records, some at a time."""

    def __init__(
        self,
        name: str,
        text_of: Callable[[dict[str, Any]], str],
        calls: Calls,
        size: int,
        shape: Shape | None,
        wait: float = 0.0,
    ) -> None:
        """`text_of` gives the text of a record, or raises its error; `size` is how many texts a call is given at
        most. Fewer wait for those of other batches for at most `wait` seconds."""
        self._name = name
        self._text_of = text_of
        self._calls = calls
        self._size = size
        self._shape = shape
        self._gathered: MicroBatches[_Text, TransformOutcome] | None = None
        if wait:
            self._gathered = MicroBatches(self._scored, size, wait)

    @property
    def risk(self) -> Risk:
        return self._calls.risk

    async def apply(
        self, run_id: str, records: Sequence[ExtractedRecord], context: Context, again: int = 0
    ) -> list[TransformOutcome]:
        """Return one outcome per record. The time of a call is divided among its records."""
        outcomes: list[TransformOutcome | None] = [None] * len(records)
        texts = []
        for place, record in enumerate(records):
            try:
                texts.append(_Text(place, record.id, self._text_of(copy.deepcopy(record.input))))
            except RecordError as error:
                outcomes[place] = TransformOutcome(None, 0.0, error)
        for each, outcome in zip(texts, await self._all(texts, context), strict=True):
            outcomes[each.place] = outcome
        return [each for each in outcomes if each is not None]

    async def _all(self, texts: Sequence[_Text], context: Context) -> list[TransformOutcome]:
        async def some(part: Sequence[_Text]) -> list[TransformOutcome]:
            outcomes = await (self._scored(part) if self._gathered is None else self._gathered.each(part))
            for _ in part:
                context.progress.one_done()
            return outcomes

        parts = [texts[begin : begin + self._size] for begin in range(0, len(texts), self._size)]
        if self._calls.at_once or self._gathered is not None:
            return [outcome for each in await asyncio.gather(*map(some, parts)) for outcome in each]
        return [outcome for part in parts for outcome in await some(part)]

    async def _scored(self, some: Sequence[_Text]) -> list[TransformOutcome]:
        began = perf_counter()
        found = await self._called(some)
        seconds = (perf_counter() - began) / len(some)
        if not isinstance(found, RecordError):
            return [self._outcome(each, seconds) for each in found]
        if len(some) == 1:
            return [TransformOutcome(None, seconds, found)]
        singly = [[each] for each in some]
        if self._calls.at_once:
            return [outcome for each in await asyncio.gather(*map(self._scored, singly)) for outcome in each]
        return [outcome for each in singly for outcome in await self._scored(each)]

    async def _called(self, some: Sequence[_Text]) -> Sequence[Any] | RecordError:
        """Return an output for each text, or why there is none for any of them. Raises `WorkerWornOut`, and what the
        scorer says of more than its texts."""
        try:
            return await self._calls.scored([each.text for each in some])
        except WorkerWornOut as worn:  # which of several texts it hangs on is not known
            raise WorkerWornOut(str(worn), some if len(some) == 1 else ()) from worn

    def _outcome(self, said: Any, seconds: float) -> TransformOutcome:
        if isinstance(said, RecordError):
            return TransformOutcome(None, seconds, said)
        try:
            return TransformOutcome(output_of(said, self._name, self._shape), seconds)
        except RecordError as error:
            return TransformOutcome(None, seconds, error)
