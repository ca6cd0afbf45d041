"""Implements `scorer`, a local model over one text field. Loaded once per worker, whatever the number of runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loom_common.errors import RecordError, UserCodeError
from loom_common.foreign_code.process_guard import foreign
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find, names
from loom_common.text import named
from loom_common.user_code.functions import load_function
from loom_common.user_code.poison_isolation import USER_CODE
from loom_transformer.outcome import Transform
from loom_transformer.transforms.batched import Batched
from loom_transformer.transforms.local import Bounds, Computed
from loom_transformer.vader import vader

if TYPE_CHECKING:
    from loom_ai.answers.shape import Shape

Score = Callable[[str], Any]
TEXTS = 32
"""The number of texts that a scorer is given at once where the pipeline does not say it."""
BUILTIN: dict[str, Callable[[], Score]] = {"vader": vader}


class Scorers:
    """Keeps loaded scorers by reference and folder. A class is made into one instance."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, Path], Score] = {}
        self._lock = threading.Lock()

    def get(self, reference: str, folder: Path) -> Score:
        """Load `vader`, or `module:name` of a function, or of a class whose instances are called or have a method
        `score(texts)`. Raises `UserCodeError`."""
        with self._lock:
            key = (reference, folder)
            if key not in self._loaded:
                self._loaded[key] = _load(reference, folder)
            return self._loaded[key]


def _load(reference: str, folder: Path) -> Score:
    if reference in BUILTIN:
        return BUILTIN[reference]()
    loaded = load_function(reference, folder) if ":" in reference else find(Kind.SCORER, reference)
    if loaded is None:
        known = ", ".join((*BUILTIN, *names(Kind.SCORER)))
        raise UserCodeError(f"There is no scorer '{reference}'; there is {known}, or module:name.")
    if not callable(loaded):
        raise UserCodeError(f"The scorer '{reference}' is {type(loaded).__name__}, not a function or a class.")
    if not isinstance(loaded, type):
        return loaded
    try:
        with foreign():
            scorer = loaded()
    except BaseException as error:  # it is the user's code
        raise UserCodeError(f"'{reference}': making one failed: {named(error)}") from error
    if not callable(scorer) and not callable(getattr(scorer, "score", None)):
        raise UserCodeError(
            f"'{reference}': its instances cannot be called, and score nothing; add `def __call__(self, text: str)`, "
            "or `def score(self, texts: list[str])` for several texts at once."
        )
    return scorer  # type: ignore[no-any-return]


def scorer_transform(
    reference: str,
    field: str,
    score: Score,
    shape: Shape | None,
    bounds: Bounds | None = None,
    size: int | None = None,
) -> Transform:
    """Apply `score` to the text in `field`: to one text at a time where it can be called, else to at most `size` texts
    by its method `score`. Raises `UserCodeError` where it has none and a `size` is named."""

    def text_of(data: dict[str, Any]) -> str:
        if field not in data:
            raise RecordError(
                f"The field '{field}' is missing; the record has {', '.join(data) or 'no fields'}", code="missing_field"
            )
        if data[field] is None:
            raise RecordError(f"The field '{field}' is empty: there is nothing to score", code="missing_field")
        return str(data[field])

    if not callable(score):
        return Batched(reference, text_of, score.score, size or TEXTS, shape, bounds)
    if size is not None:
        words = f"`transform.batch`: {reference} takes one text at a time; give it a method `score(texts)`."
        raise UserCodeError(words)
    risk = None if reference in BUILTIN else USER_CODE
    return Computed(reference, lambda data: score(text_of(data)), shape, bounds, risk=risk)
