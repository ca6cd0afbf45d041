"""Implements `python`, the user's own function, `def f(record: dict) -> dict`, sync or async; and the transforms of
plugins, which build such a function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loom_ai.answers.shape import Shape
from loom_common.domain.definition.transforms.own_code import PluginTransform
from loom_common.errors import UserCodeError
from loom_common.foreign_code.process_guard import foreign
from loom_common.text import named
from loom_common.user_code.functions import load_function
from loom_transformer.outcome import Transform
from loom_transformer.scoring.bounds import Bounds
from loom_transformer.steps.together import Together
from loom_transformer.transforms.local import Awaited, Computed


def python_transform(reference: str, folder: Path, shape: Shape | None, bounds: Bounds | None = None) -> Transform:
    """Load the function `module:name`. Raises `UserCodeError`."""
    return _transform(reference, load_function(reference, folder), shape, bounds)


def plugin_transform(config: PluginTransform, shape: Shape | None, bounds: Bounds | None = None) -> Transform:
    """Load the function that a plugin builds, which is called as the user's own is; with all records of a batch, where
    the step is about these. Raises `UserCodeError` where it builds none."""
    try:
        with foreign():
            function = config.build()
    except BaseException as error:  # it is the plugin's code
        raise UserCodeError(f"The transform {config.type} cannot be built: {named(error)}") from error
    if not callable(function):
        raise UserCodeError(f"The transform {config.type} builds {type(function).__name__}, not a function.")
    if getattr(config, "scope", "record") == "batch":
        return Together(config.type, function, shape, bounds)
    return _transform(config.type, function, shape, bounds)


def _transform(name: str, function: Callable[..., Any], shape: Shape | None, bounds: Bounds | None) -> Transform:
    awaits = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
    return (Awaited if awaits else Computed)(name, function, shape, bounds)
