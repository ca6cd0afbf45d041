"""Compares texts by word vectors in this process: no call and no network.

The model is that of the package `wordllama`, which ships its weights: 16 MB of static word vectors, mostly English.
It knows what words are about. It does not know their order, and hardly tells a statement from its opposite."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from loom_common import extras
from loom_common.errors import PermanentError

_LONGEST = 20_000
"""The most characters of a text that are compared."""


def remedy(workers: str) -> str:
    """Say how the model is installed where these workers run."""
    return f"Install its model where the {workers} run: {extras.remedy('embeddings')}"


def installed() -> bool:
    """Tell whether the model is here. Imports nothing."""
    return importlib.util.find_spec("wordllama") is not None


@lru_cache(maxsize=1)
def loaded() -> Any:
    """Return the model, which must be installed."""
    import wordllama

    # The package looks for its own tokenizer under another name than it ships it; its folder as the cache is right.
    folder = Path(str(wordllama.__file__)).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)


def index(texts: Sequence[str]) -> Callable[[str], Sequence[int]]:
    """Return a function of a text that returns the places of all `texts`, the one most like it first. Of those that are
    alike, the earlier one comes first. Raises `PermanentError` where the model is not installed."""
    if not installed():
        raise PermanentError(
            "`examples: {choose: nearest}` needs an embedding model that is not installed here. "
            f"{remedy('transformers')}."
        )
    import numpy as np

    model = loaded()
    vectors = np.nan_to_num(model.embed([text[:_LONGEST] for text in texts], norm=True))

    def ranking(text: str) -> Sequence[int]:
        vector = np.nan_to_num(model.embed([text[:_LONGEST]], norm=True))[0]
        order: list[int] = np.argsort(-(vectors @ vector), kind="stable").tolist()
        return order

    return ranking
