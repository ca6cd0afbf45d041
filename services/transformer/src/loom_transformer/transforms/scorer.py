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
from loom_transformer.transforms.local import Bounds, Computed
from loom_transformer.transforms.vader import vader

if TYPE_CHECKING:
    from loom_ai.answers.shape import Shape

Score = Callable[[str], Any]
BUILTIN: dict[str, Callable[[], Score]] = {"vader": vader}


class Scorers:
    """Keeps loaded scorers by reference and folder. A class is made into one instance."""

    def __init__(self) -> None:
        self._loaded: dict[tuple[str, Path], Score] = {}
        self._lock = threading.Lock()

    def get(self, reference: str, folder: Path) -> Score:
        """Load `vader`, or `module:name` of a function, or of a class whose instances are called. Raises
        `UserCodeError`."""
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
    if not callable(scorer):
        raise UserCodeError(f"'{reference}': its instances cannot be called; add `def __call__(self, text: str)`.")
    return scorer  # type: ignore[no-any-return]


def scorer_transform(
    reference: str, field: str, score: Score, shape: Shape | None, bounds: Bounds | None = None
) -> Transform:
    """Apply `score` to the text in `field`."""

    def of_record(data: dict[str, Any]) -> Any:
        if field not in data:
            raise RecordError(
                f"The field '{field}' is missing; the record has {', '.join(data) or 'no fields'}", code="missing_field"
            )
        if data[field] is None:
            raise RecordError(f"The field '{field}' is empty: there is nothing to score", code="missing_field")
        return score(str(data[field]))

    return Computed(reference, of_record, shape, bounds, risk=None if reference in BUILTIN else USER_CODE)
