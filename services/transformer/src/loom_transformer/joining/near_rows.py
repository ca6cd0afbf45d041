"""Finds rows of another source by the vectors of an embedding model, and compares records by such vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cachetools import LRUCache

from loom_ai.answers.nearest import NearestTexts
from loom_ai.answers.text_vectors import Compared, TextVectors
from loom_ai.http.endpoints import embedding_endpoint
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.ports import Payer
from loom_common.domain.model_options.caching import CacheConfig
from loom_common.domain.run.plan import Plan
from loom_common.domain.steps.joining import JoinStep
from loom_common.domain.steps.resolving import ResolveStep
from loom_common.domain.values.durations import seconds
from loom_common.domain.values.urls import redacted
from loom_common.errors import RecordError
from loom_common.ports.joined_tables import JoinedTable, JoinedTables, Row

_TABLES = 2
"""The other sources of one step whose vectors a process holds, in different versions."""
_READ = 1_000


def vectors_of(
    plan: Plan, step: JoinStep | ResolveStep, models: JournalledModels, compared: Compared
) -> TextVectors | None:
    """Return what asks for the vectors by which a step compares; None where it compares otherwise. Raises
    `PermanentError` where the provider has no embeddings that Loom asks for."""
    embedding, pipeline = step.embedding, plan.pipeline
    if embedding is None:
        return None
    cache = CacheConfig.model_validate(step.cache)
    return TextVectors(
        models,
        embedding_endpoint(embedding, (step.model, step.base_url, step.api_key), pipeline.providers),
        Reuse(enabled=plan.reuse and cache.enabled, max_age=cache.max_age),
        seconds(pipeline.timeouts.record),
        dimensions=embedding.dimensions,
        sealed=bool(pipeline.sensitive),
        compared=compared,
    )


RECORDS_COMPARED = Compared("The records cannot be compared", "Record")
"""Says how errors name the records of a block."""


def rows_compared(step: JoinStep) -> Compared:
    """Return how errors name the rows of the other source."""
    return Compared(f"The nearest rows of {redacted(step.source)} cannot be found", "Row")


class NearRows:
    """Finds the rows of a step's other source whose texts mean most the same as those of records."""

    def __init__(self, step: JoinStep, vectors: TextVectors) -> None:
        self._step = step
        self._vectors = vectors
        self._near: LRUCache[str, NearestTexts] = LRUCache(_TABLES)

    async def of(
        self, store: JoinedTables, table: JoinedTable, texts: Sequence[str], payers: Sequence[Payer], most: int
    ) -> list[Sequence[Row] | RecordError]:
        """Return for each text at most `most` rows that are as alike as the step demands, the most alike first. Raises
        what `NearestTexts.nearest` and the store raise."""
        least = self._step.similarity or -1.0
        found = await (await self._texts_of(store, table)).nearest(texts, payers, most)
        near = [
            each if isinstance(each, RecordError) else [at + 1 for at, how in each if how >= least] for each in found
        ]
        numbers = {number for each in near if not isinstance(each, RecordError) for number in each}
        rows = await store.with_numbers(table.name, sorted(numbers))
        return [each if isinstance(each, RecordError) else [rows[number] for number in each] for each in near]

    async def _texts_of(self, store: JoinedTables, table: JoinedTable) -> NearestTexts:
        """Return the texts of the rows. Two batches that come for them at the same time read them both, and one of what
        they have read is kept."""
        if table.name not in self._near:
            columns, texts = list((self._step.alike or {}).values()), list[str]()
            while page := await store.page(table.name, len(texts), _READ):
                texts += [text_of([row.get(column) for column in columns]) for row in page]
            self._near.setdefault(table.name, NearestTexts(self._vectors, texts))
        return self._near[table.name]


def text_of(values: Sequence[Any]) -> str:
    """Return the text of some values that is compared."""
    return ", ".join(str(value) for value in values if value not in (None, ""))
