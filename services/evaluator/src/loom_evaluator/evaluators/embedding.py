"""Implements the evaluator `embedding_similarity`: a small embedding model in this process, no call and no network.

The model is that of the package `wordllama`, which ships its weights: 16 MB of static word vectors, mostly English.
It knows what words are about. It does not know their order, and hardly tells a statement from its opposite."""

from __future__ import annotations

import importlib.util
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition import evaluators as config
from loom_common.errors import PermanentError
from loom_evaluator.evaluators.fields import input_text, output_text
from loom_evaluator.evaluators.opinion import Opinion, Rule, cannot_score

REMEDY = (
    "Install its model where the evaluators run: `make extras EXTRAS=embeddings` in the checkout; for the image, "
    "`docker build --build-arg EVALUATOR_EXTRAS=embeddings .`"
)


def installed() -> bool:
    """Tell whether the model is here. Imports nothing."""
    return importlib.util.find_spec("wordllama") is not None


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
        raise PermanentError(f"embedding_similarity needs an embedding model that is not installed here. {REMEDY}.")
    import wordllama

    # The package looks for its own tokenizer under another name than it ships it; its folder as the cache is right.
    folder = Path(str(wordllama.__file__)).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
