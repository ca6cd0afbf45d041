"""Finds, among some texts, those nearest to others by the vectors of an embedding model.

The vectors of the texts that are searched are asked for by the first record of a process that needs them, and every
later process finds them in the journal."""

from __future__ import annotations

import asyncio
import heapq
import importlib.util
import operator
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from loom_ai.answers.text_vectors import LONGEST, TextVectors, normalized, rounded
from loom_ai.ports import Payer
from loom_common.errors import PermanentError, RecordError

_AT_ONCE = 512
"""The texts whose vectors are held as lists at the same time."""
Near = tuple[int, float]
"""Is the place of a text, and how alike it is, as the cosine of the angle between the two vectors."""
_Search = Callable[[Sequence[float], int], Sequence[Near]]


class NearestTexts:
    """Finds the nearest of the texts of one plan."""

    def __init__(self, vectors: TextVectors, texts: Sequence[str]) -> None:
        self._vectors = vectors
        self._texts = [text[:LONGEST] for text in texts]
        self._search: _Search | None = None
        self._opening = asyncio.Lock()
        self._paid_by: dict[tuple[str, str], list[str]] = {}
        """Holds the texts that are searched by the run and the record that paid for their vectors. They are entered in
        its usage whenever its message comes, because what a message paid is told anew each time."""

    async def nearest(
        self, texts: Sequence[str], payers: Sequence[Payer], count: int
    ) -> list[Sequence[Near] | RecordError]:
        """Return for each text the `count` texts nearest to it, the nearest first and of equals the earlier, or why
        they are not known. One without words is near to none of them. Its payer's record pays for its vector.

        Raises what `TextVectors.of` raises, and `PermanentError` where a text that is searched has no vector."""
        asked = {at: text[:LONGEST] for at, text in enumerate(texts) if text.strip()}
        near: list[Sequence[Near] | RecordError] = [[] for _ in texts]
        if not asked:
            return near
        opener = payers[next(iter(asked))]
        search, opened_now = await self._opened(opener)
        for payer in payers:
            paid = self._paid_by.get((payer.run_id, payer.record_id))
            if paid is not None and not (opened_now and payer == opener):
                await self._vectors.of(paid, [payer] * len(paid))
        found = await self._vectors.of(list(asked.values()), [payers[at] for at in asked])
        for at, vector in zip(asked, found, strict=True):
            near[at] = vector if isinstance(vector, RecordError) else await self._near(search, vector, count)
        return near

    async def _near(self, search: _Search, vector: Sequence[float], count: int) -> Sequence[Near] | RecordError:
        try:
            return await asyncio.to_thread(search, normalized(vector), count)
        except ValueError as error:
            return RecordError(f"{self._vectors.compared.what}: {error}", code="wrong_dimensions")

    async def _opened(self, payer: Payer) -> tuple[_Search, bool]:
        """Return what searches, with the vectors of all texts, which are asked for once in a process; and whether that
        was now."""
        async with self._opening:
            opened_now = self._search is None
            if self._search is None:
                rows: list[array[float]] = []
                each = self._vectors.compared.each
                # An estimate would take what is asked once for what is asked for every few records.
                texts = [] if self._vectors.made_up else self._texts
                for start in range(0, len(texts), _AT_ONCE):
                    some = texts[start : start + _AT_ONCE]
                    for at, vector in enumerate(await self._vectors.of(some, [payer] * len(some)), start + 1):
                        if isinstance(vector, RecordError):
                            words = f"{each} {at}, among which the nearest are searched, has no vector: {vector}"
                            raise PermanentError(words) from vector
                        rows.append(array("f", normalized(vector)))
                    paying = await asyncio.gather(*(self._vectors.payer_of(text, payer) for text in some))
                    for text, by in zip(some, paying, strict=True):
                        if by is not None:
                            self._paid_by.setdefault((by.run_id, by.record_id), []).append(text)
                self._search = _searching(rows, len(self._texts), each.lower())
            return self._search, opened_now


def _searching(rows: Sequence[array[float]], count: int, each: str) -> _Search:
    """Return what searches vectors of the length 1; without any, what gives the first of `count` places. It raises
    `ValueError` for a vector of another length."""
    if not rows:
        return lambda _, most: [(at, 1.0) for at in range(min(most, count))]
    if len({len(row) for row in rows}) > 1:
        raise PermanentError(f"The embedding model gave vectors of several lengths for the {each}s. Say `dimensions`.")
    scores = _scores_by_numpy(rows) if importlib.util.find_spec("numpy") else _scores(rows)

    def search(vector: Sequence[float], most: int) -> Sequence[Near]:
        if len(vector) != len(rows[0]):
            raise ValueError(f"its vector has {len(vector)} numbers, and those of the {each}s have {len(rows[0])}")
        found = [rounded(score) for score in scores(vector)]
        best = heapq.nsmallest(most, range(len(found)), key=lambda at: (-found[at], at))
        return [(at, found[at]) for at in best]

    return search


def _scores(rows: Sequence[array[float]]) -> Callable[[Sequence[float]], Sequence[float]]:
    return lambda vector: [sum(map(operator.mul, row, vector)) for row in rows]


def _scores_by_numpy(rows: Sequence[array[float]]) -> Callable[[Sequence[float]], Sequence[float]]:
    import numpy as np

    matrix: Any = np.array(rows, dtype="float32")
    return lambda vector: (matrix @ np.array(vector, dtype="float32")).tolist()
