"""Implements the evaluator `embedding_similarity` with the word vectors of `loom_ai.word_vectors`."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from loom_ai import word_vectors
from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition import evaluators as config
from loom_common.errors import PermanentError
from loom_evaluator.evaluators.fields import input_text, output_text
from loom_evaluator.evaluators.opinion import Opinion, Rule, cannot_score


def installed() -> bool:
    """Tell whether the model is here. Imports nothing."""
    return word_vectors.installed()


def embedding_similarity(settings: config.EmbeddingSimilarity) -> Rule:
    """Give the cosine of the two texts' vectors, 0 where they point apart. Raises `PermanentError` where the model is
    not installed."""
    model = _model()

    def rule(record: TransformedRecord) -> Opinion:
        output, reference = output_text(record, settings.field), input_text(record, settings.reference_field)
        if not output.strip():
            raise cannot_score("the output is empty, and has no vector")
        cosine = float(model.similarity(output, reference))
        if not math.isfinite(cosine):
            raise cannot_score("the texts have no vectors whose angle could be measured")
        # Equal vectors have a cosine of 1 give or take a rounding.
        return Opinion(round(min(1.0, max(0.0, cosine)), 6))

    return rule


@lru_cache(maxsize=1)
def _model() -> Any:
    if not installed():
        raise PermanentError(
            "embedding_similarity needs an embedding model that is not installed here. "
            f"{word_vectors.remedy('evaluators')}."
        )
    return word_vectors.loaded()
