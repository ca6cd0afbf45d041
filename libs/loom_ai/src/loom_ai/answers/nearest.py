"""Finds, among some texts, those nearest to others by the vectors of an embedding model.

Each vector is asked for through the journal, many texts in one call, so that it is priced, within the budget, and paid
for once: the vectors of the texts that are searched are asked for by the first record of a process that needs them, and
every later process finds them in the journal."""

from __future__ import annotations

import asyncio
import heapq
import importlib.util
import math
import operator
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from loom_ai.answers.embeddings import FIELD, Vectors
from loom_ai.answers.multi_record import Question, ask_together
from loom_ai.http.endpoints import Endpoint
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.keys import shared_by
from loom_ai.ports import ChatMessage, ModelCall, Payer
from loom_common.domain.model_options.providers import has_embeddings
from loom_common.errors import PermanentError, RecordError

PURPOSE = "embed"
LONGEST = 20_000
"""The most characters of a text that are compared."""
_PER_CALL, _AT_ONCE = 64, 512
"""The texts that share a call, and those whose vectors are held as lists at the same time."""
_VECTORS = Vectors()
_Search = Callable[[Sequence[float], int], Sequence[int]]


class NearestTexts:
    """Finds the nearest of the texts of one plan."""

    def __init__(
        self,
        models: JournalledModels,
        endpoint: Endpoint,
        texts: Sequence[str],
        reuse: Reuse,
        patience: float,
        *,
        dimensions: int | None = None,
        sealed: bool = False,
    ) -> None:
        """`patience` is how many seconds a call may take. Raises `PermanentError` where the provider has no embeddings
        that Loom asks for."""
        if not has_embeddings(endpoint.provider):
            raise PermanentError(
                f"{endpoint.model}: Loom asks for embeddings by OpenAI's protocol, which {endpoint.provider} does not "
                "speak. Name an endpoint that does."
            )
        self._models = models
        self._endpoint = endpoint
        self._texts = [text[:LONGEST] for text in texts]
        self._reuse = reuse
        self._patience = patience
        self._dimensions = dimensions
        self._sealed = sealed
        self._search: _Search | None = None
        self._opening = asyncio.Lock()
        self._paid_by: dict[tuple[str, str], list[str]] = {}
        """Holds the texts that are searched by the run and the record that paid for their vectors. They are entered in
        its usage whenever its message comes, because what a message paid is told anew each time."""

    async def nearest(self, texts: Sequence[str], payers: Sequence[Payer], count: int) -> list[list[int] | RecordError]:
        """Return for each text the places of the `count` texts nearest to it, the nearest first, or why they are not
        known. One without words is near to none of them. Its payer's record pays for its vector.

        Raises what `JournalledModels.complete` raises, except `RecordError`, and `PermanentError` where a text that is
        searched has no vector."""
        asked = {at: text[:LONGEST] for at, text in enumerate(texts) if text.strip()}
        if not asked:
            return [[] for _ in texts]
        opener = payers[next(iter(asked))]
        search, opened_now = await self._opened(opener)
        for payer in payers:
            paid = self._paid_by.get((payer.run_id, payer.record_id))
            if paid is not None and not (opened_now and payer == opener):
                await self._vectors(paid, [payer] * len(paid))
        found = await self._vectors(list(asked.values()), [payers[at] for at in asked])
        near: list[list[int] | RecordError] = [[] for _ in texts]
        for at, vector in zip(asked, found, strict=True):
            near[at] = vector if isinstance(vector, RecordError) else await self._near(search, vector, count)
        return near

    async def _near(self, search: _Search, vector: Sequence[float], count: int) -> list[int] | RecordError:
        try:
            return list(await asyncio.to_thread(search, _normalized(vector), count))
        except ValueError as error:
            return RecordError(f"The nearest examples cannot be found: {error}", code="wrong_dimensions")

    async def _opened(self, payer: Payer) -> tuple[_Search, bool]:
        """Return what searches, with the vectors of all texts, which are asked for once in a process; and whether that
        was now."""
        async with self._opening:
            opened_now = self._search is None
            if self._search is None:
                rows: list[array[float]] = []
                # An estimate would take what is asked once for what is asked for every few records.
                texts = [] if self._models.tools == "made_up" else self._texts
                for start in range(0, len(texts), _AT_ONCE):
                    some = texts[start : start + _AT_ONCE]
                    for at, vector in enumerate(await self._vectors(some, [payer] * len(some)), start + 1):
                        if isinstance(vector, RecordError):
                            words = f"Example {at}, among which the nearest are searched, has no vector: {vector}"
                            raise PermanentError(words) from vector
                        rows.append(array("f", _normalized(vector)))
                    for text, paying in zip(some, await self._payers_of(some, payer), strict=True):
                        if paying is not None:
                            self._paid_by.setdefault((paying.run_id, paying.record_id), []).append(text)
                self._search = _searching(rows, len(self._texts))
            return self._search, opened_now

    async def _payers_of(self, texts: Sequence[str], payer: Payer) -> list[Payer | None]:
        """Return the records that paid for the vectors of texts; None where the journal does not tell."""

        async def paying(text: str) -> Payer | None:
            key = self._reuse.key(self._call(text or " "), payer)
            for name in (shared_by(key), key):
                if (entry := await self._models.holds(name, payer, self._reuse)) is not None:
                    return entry.payer
            return None

        return await asyncio.gather(*map(paying, texts))

    async def _vectors(self, texts: Sequence[str], payers: Sequence[Payer]) -> list[Sequence[float] | RecordError]:
        questions = [Question(self._call(text or " "), payer) for text, payer in zip(texts, payers, strict=True)]
        parts = await ask_together(self._models, questions, _PER_CALL, _VECTORS, self._reuse, self._patience)
        found: list[Sequence[float] | RecordError] = []
        for question, part in zip(questions, parts, strict=True):
            found.append(await self._alone(question) if part.output is None else part.output[FIELD])
        return found

    async def _alone(self, question: Question) -> Sequence[float] | RecordError:
        """Ask for a vector that a shared call did not bring."""
        try:
            settled = await self._models.complete(question.call, question.payer, self._reuse, self._patience)
            vector: Sequence[float] = _VECTORS.read(settled.answer)[FIELD]
        except RecordError as error:
            return RecordError(
                f"The nearest examples cannot be found: {error}",
                code=error.code,
                details={"model": self._endpoint.model, **error.details},
            )
        return vector

    def _call(self, text: str) -> ModelCall:
        endpoint = self._endpoint
        return ModelCall(
            provider=endpoint.provider,
            model=endpoint.model,
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            messages=(ChatMessage("user", text),),
            temperature=None,
            embedding=True,
            dimensions=self._dimensions,
            purpose=PURPOSE,
            timeout=endpoint.timeout,
            rate_limit=endpoint.rate_limit,
            concurrency=endpoint.concurrency,
            served_by=endpoint.served_by,
            extras=endpoint.extras,
            sealed=self._sealed,
        )


def _searching(rows: Sequence[array[float]], count: int) -> _Search:
    """Return what searches vectors of the length 1; without any, what gives the first of `count` places. Of those that
    are equally near, the earlier comes first. It raises `ValueError` for a vector of another length."""
    if not rows:
        return lambda _, most: range(min(most, count))
    if len({len(row) for row in rows}) > 1:
        raise PermanentError("The embedding model gave vectors of several lengths for the examples. Say `dimensions`.")
    scores = _scores_by_numpy(rows) if importlib.util.find_spec("numpy") else _scores(rows)

    def search(vector: Sequence[float], most: int) -> Sequence[int]:
        if len(vector) != len(rows[0]):
            raise ValueError(f"its vector has {len(vector)} numbers, and those of the examples have {len(rows[0])}")
        found = scores(vector)
        return heapq.nsmallest(most, range(len(found)), key=lambda at: (-found[at], at))

    return search


def _scores(rows: Sequence[array[float]]) -> Callable[[Sequence[float]], Sequence[float]]:
    return lambda vector: [sum(map(operator.mul, row, vector)) for row in rows]


def _scores_by_numpy(rows: Sequence[array[float]]) -> Callable[[Sequence[float]], Sequence[float]]:
    import numpy as np

    matrix: Any = np.array(rows, dtype="float32")
    return lambda vector: (matrix @ np.array(vector, dtype="float32")).tolist()


def _normalized(vector: Sequence[float]) -> Sequence[float]:
    length = math.sqrt(sum(number * number for number in vector))
    return [number / length for number in vector] if length else vector
