"""Makes the gate a pipeline names: one of the four, one registered here, or a class of the user's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from loom_common.domain.definition.quality_gate import GATES, GateConfig, PluginGate
from loom_common.domain.plugin_section import concrete
from loom_common.domain.run.gates import BUILTIN, QualityGate, Score, Verdict, weighted
from loom_common.errors import UserCodeError
from loom_common.foreign_code.process_guard import foreign
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find, names, register
from loom_common.text import named
from loom_common.user_code.functions import load_function

Gate = Callable[[Sequence[Score]], bool | Verdict]


def register_gate(name: str, gate: Callable[[], QualityGate]) -> None:
    """Let pipelines name a gate class. Raises `ConfigurationError` for the name of a gate that Loom brings."""
    register(Kind.GATE, name, gate, GATES)


def gate_of(settings: GateConfig, folder: Path) -> Gate:
    """Return the gate ready to decide. Raises `UserCodeError` where there is none of that name, or it cannot be
    made."""
    if isinstance(settings, PluginGate):
        return _made(settings.build, settings.type)
    if settings.threshold is not None:
        return weighted(settings.threshold)
    if settings.type in BUILTIN:
        return BUILTIN[settings.type]
    make = load_function(settings.type, folder) if ":" in settings.type else find(Kind.GATE, settings.type)
    if make is None:
        known = ", ".join((*GATES, *names(Kind.GATE)))
        raise UserCodeError(f"There is no quality gate '{settings.type}'; known: {known}, or module:Class.")
    if not isinstance(make, type) and callable(apply := getattr(make, "apply", None)):
        return cast("Gate", apply)
    if not callable(make):
        raise UserCodeError(f"The quality gate {settings.type} is no class.")
    if isinstance(make, type) and issubclass(make, PluginGate):
        model = concrete(Kind.GATE, settings.type, make)
        return _made(lambda: model(type=settings.type).build(), settings.type)
    if takes_scores(make):
        return cast("Gate", make)
    return _made(make, settings.type)


def takes_scores(make: object) -> bool:
    """Tell whether a function is a gate itself, which takes scores, and does not make one without any argument."""
    if not inspect.isroutine(make):
        return False
    try:
        parameters = inspect.signature(make).parameters.values()
    except ValueError:  # what is written in C may not tell its parameters
        return False
    return any(
        each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        for each in parameters
    )


def _made(make: Callable[[], object], name: str) -> Gate:
    try:
        with foreign():
            gate = make()
    except BaseException as error:  # it is the user's code
        raise UserCodeError(f"The quality gate {name} cannot be made: {named(error)}") from error
    apply: Gate | None = getattr(gate, "apply", None)
    if apply is None or not callable(apply):
        raise UserCodeError(f"The quality gate {name} has no method apply(scores).")
    return apply
