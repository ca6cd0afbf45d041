"""`python`: the user's own function, `def f(record: dict) -> dict`, sync or async."""

from __future__ import annotations

import inspect
from pathlib import Path

from loom_ai.answers.shape import Shape
from loom_common.user_code.functions import load_function
from loom_transformer.outcome import Transform
from loom_transformer.transforms.local import Awaited, Bounds, Computed


def python_transform(reference: str, folder: Path, shape: Shape | None, bounds: Bounds | None = None) -> Transform:
    """The function `module:name`. Raises `UserCodeError`."""
    function = load_function(reference, folder)
    awaits = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
    return (Awaited if awaits else Computed)(reference, function, shape, bounds)
