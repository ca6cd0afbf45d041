"""Chooses the solved examples that are nearest to each record by the vectors of an embedding model."""

from __future__ import annotations

from collections.abc import Sequence

from loom_ai.answers.nearest import NearestTexts
from loom_ai.answers.text_vectors import TextVectors
from loom_ai.http.endpoints import embedding_endpoint
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.ports import Payer
from loom_common.contracts.v1 import ExtractedRecord
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.question.choosing import compared
from loom_common.domain.question.examples import Example
from loom_common.domain.run.attempts import Attempt
from loom_common.domain.run.plan import Plan
from loom_common.errors import RecordError, TransientError
from loom_transformer.outcome import given_up

ShownExamples = Sequence[int] | RecordError | None
"""Holds the places of the examples that a record is shown, or why they are not known; None where they are chosen as
its question is rendered."""


class NearestExamples:
    """Chooses the examples of one transform. Where no model finds them, it leaves the choice to the question."""

    def __init__(
        self,
        plan: Plan,
        config: AiTransformConfig,
        examples: Sequence[Example],
        models: JournalledModels,
        reuse: Reuse,
        patience: float,
    ) -> None:
        """Raises `PermanentError` where the provider of the model has no embeddings that Loom asks for."""
        self._config = config.examples
        self._texts: NearestTexts | None = None
        if config.examples is None or (embedding := config.examples.embedding) is None:
            return
        whole = plan.pipeline.transform
        own = whole if isinstance(whole, AiTransformConfig) else config  # a cheap tier has settings of its own
        vectors = TextVectors(
            models,
            embedding_endpoint(embedding, (own.model, own.base_url, own.api_key), plan.pipeline.providers),
            reuse,
            patience,
            dimensions=embedding.dimensions,
            sealed=bool(plan.pipeline.sensitive),
        )
        self._texts = NearestTexts(vectors, [compared(each.input, config.examples.by) for each in examples])

    async def chosen(
        self, records: Sequence[ExtractedRecord], payers: Sequence[Payer], attempt: Attempt
    ) -> Sequence[ShownExamples]:
        """Return what each record is shown, in order. Raises what `NearestTexts.nearest` raises, but for what may pass
        on the last attempt: then it is the error of each record."""
        if self._texts is None or self._config is None:
            return [None] * len(records)
        texts = [compared(record.input, self._config.by) for record in records]
        try:
            near = await self._texts.nearest(texts, payers, self._config.count or 0)
        except TransientError as trouble:
            return [given_up(trouble, attempt)] * len(records)
        # The most alike comes last, next to the question, where models heed it most.
        return [each if isinstance(each, RecordError) else [at for at, _ in reversed(each)] for each in near]
