"""Loads scorers, in a worker or in a process of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from loom_common.domain.model_options.scorers import Classifier, is_onnx
from loom_common.errors import UserCodeError
from loom_common.foreign_code.process_guard import foreign
from loom_common.plugins.callables import importable as importable_name
from loom_common.plugins.callables import is_given
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find, names, registered
from loom_common.text import named
from loom_common.user_code.functions import load_function
from loom_transformer.vader import vader

Score = Callable[[str], Any]
BUILTIN: dict[str, Callable[[], Score]] = {"vader": vader}


def importable(reference: str) -> str:
    """Return a name of the scorer that another process knows, too: what was registered in this one alone is named by
    its module. Raises `UserCodeError` where it has none."""
    if is_given(reference):
        return importable_name(reference)
    if reference in BUILTIN or ":" in reference or is_onnx(reference):
        return reference
    if (found := registered(Kind.SCORER).get(reference)) is None:
        return reference
    module, name = getattr(found, "__module__", None), getattr(found, "__qualname__", "<")
    if module in (None, "__main__") or "<" in name or "." in name:
        raise UserCodeError(
            f"The scorer '{reference}' cannot run in processes of its own (`transform.instances`): it was registered "
            "by code that they cannot import. Write it at the top of a module, and name it `module:name`."
        )
    return f"{module}:{name}"


def load_scorer(reference: str, folder: Path, classifier: Classifier | None = None) -> Score:
    """Load a scorer, and make an instance of one that is a class; of an ONNX file, `classifier` says what its outputs
    mean. Raises `UserCodeError`."""
    if reference in BUILTIN:
        return BUILTIN[reference]()
    if is_onnx(reference):
        from loom_transformer.scoring.onnx_file import OnnxClassifier  # few pipelines have one

        return OnnxClassifier(folder / reference, classifier or Classifier())  # type: ignore[return-value]
    loaded = find_scorer(reference, folder)
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
    return scorer  # type: ignore[no-any-return]  # it was seen to be one


def find_scorer(reference: str, folder: Path) -> Callable[..., Any]:
    """Import a scorer that is not Loom's: a function or a class. Raises `UserCodeError`."""
    loaded = load_function(reference, folder) if ":" in reference else find(Kind.SCORER, reference)
    if loaded is None:
        known = ", ".join((*BUILTIN, *names(Kind.SCORER)))
        raise UserCodeError(f"There is no scorer '{reference}'; there is {known}, module:name, or a file `.onnx`.")
    if not callable(loaded):
        raise UserCodeError(f"The scorer '{reference}' is {type(loaded).__name__}, not a function or a class.")
    return loaded
