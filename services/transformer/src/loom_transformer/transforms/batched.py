"""Gives a scorer the texts of several records at once, which is quicker for most models than one text at a time.

A call that fails, takes too long or answers with another number of outputs is made again for each of its texts alone,
so that only the record at fault is kept back."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from loom_common.errors import PermanentError, RecordError, TransientError, WorkerWornOut
from loom_common.user_code.event_loop import UserLoop
from loom_common.user_code.poison_isolation import USER_CODE
from loom_common.worker.context import Context
from loom_transformer.outcome import TransformOutcome
from loom_transformer.transforms.local import Bounds, at_fault, late, output_of

if TYPE_CHECKING:
    from loom_ai.answers.shape import Shape
    from loom_common.contracts.v1 import ExtractedRecord

ScoreTexts = Callable[[list[str]], Any]
"""Scores several texts: returns, or awaits, an output for each, in their order."""


@dataclass(frozen=True, slots=True)
class _Text:
    """Holds the text of one record of a batch."""

    place: int
    id: str
    text: str


class Batched:
    """Scores the texts of a batch of records, some at a time."""

    risk = USER_CODE

    def __init__(
        self,
        name: str,
        text_of: Callable[[dict[str, Any]], str],
        score: ScoreTexts,
        size: int,
        shape: Shape | None,
        bounds: Bounds | None = None,
    ) -> None:
        """`text_of` gives the text of a record, or raises its error; `size` is how many texts a call is given at
        most."""
        self._name = name
        self._text_of = text_of
        self._score = score
        self._size = size
        self._shape = shape
        self._bounds = bounds or Bounds()
        self._loop = UserLoop(self._bounds.threads)
        self._awaits = inspect.iscoroutinefunction(score)

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
        for begin in range(0, len(texts), self._size):
            some = texts[begin : begin + self._size]
            for each, outcome in zip(some, await self._scored(some), strict=True):
                outcomes[each.place] = outcome
                context.progress.one_done()
        return [each for each in outcomes if each is not None]

    async def _scored(self, some: Sequence[_Text]) -> list[TransformOutcome]:
        began = perf_counter()
        found = await self._called(some)
        seconds = (perf_counter() - began) / len(some)
        if not isinstance(found, RecordError):
            return [self._outcome(each, seconds) for each in found]
        if len(some) == 1:
            return [TransformOutcome(None, seconds, found)]
        return [outcome for each in some for outcome in await self._scored([each])]

    async def _called(self, some: Sequence[_Text]) -> Sequence[Any] | RecordError:
        """Return an output for each text, or why there is none for any of them. Raises `WorkerWornOut`, and what the
        scorer says of more than its texts."""
        texts, seconds = [each.text for each in some], self._bounds.seconds
        try:
            if self._awaits:
                found = await self._loop.run(lambda: self._awaited(texts), seconds)
            else:
                (found,) = await self._bounds.threads.each(
                    [texts], self._caught, seconds, late=lambda _: late(self._name, seconds)
                )
        except WorkerWornOut as worn:  # which of several texts it hangs on is not known
            raise WorkerWornOut(str(worn), some if len(some) == 1 else ()) from worn
        except TimeoutError:
            return late(self._name, seconds)
        if isinstance(found, RecordError):
            return found
        return _one_for_each(found, texts, self._name)

    def _caught(self, texts: list[str]) -> Any:
        try:
            return self._score(texts)
        except BaseException as error:  # noqa: BLE001 - the scorer may raise anything
            return at_fault(error, self._name)

    async def _awaited(self, texts: list[str]) -> Any:
        try:
            scoring: Awaitable[Any] = self._score(texts)
            return await scoring
        except (PermanentError, TransientError, WorkerWornOut):
            raise
        except Exception as error:  # noqa: BLE001 - the scorer may raise anything
            return at_fault(error, self._name)

    def _outcome(self, said: Any, seconds: float) -> TransformOutcome:
        try:
            return TransformOutcome(output_of(said, self._name, self._shape), seconds)
        except RecordError as error:
            return TransformOutcome(None, seconds, error)


def _one_for_each(found: Any, texts: Sequence[str], name: str) -> Sequence[Any] | RecordError:
    if isinstance(found, str | bytes) or not hasattr(found, "__len__") or not hasattr(found, "__iter__"):
        words = f"{name}.score() returned {type(found).__name__}, not a list with an output for each text"
        return RecordError(words, code="transform_error")
    if len(found) != len(texts):
        words = f"{name}.score() returned {len(found)} outputs for {len(texts)} texts"
        return RecordError(words, code="transform_error")
    return list(found)
