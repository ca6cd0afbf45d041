"""Makes the model of a registered step's keys: those of the class that it is, or none beside those of every step."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from loom_common.domain.definition.transforms.own_code import PluginTransform
from loom_common.domain.plugin_section import concrete
from loom_common.domain.steps.registered.find import registered_step
from loom_common.domain.steps.registered.step import PipelineStep
from loom_common.errors import PluginUnusable
from loom_common.plugins.kinds import Kind


def registered_model(kind: Any) -> type[PluginTransform] | None:
    """Return the model of a registered step, without the keys of every step; None where `kind` names none. Raises
    `PluginUnusable`."""
    step = registered_step(kind)
    return None if step is None else keys_of(step)


def keys_of(step: PipelineStep) -> type[PluginTransform]:
    """Return the model of the keys that a registered step brings. Raises `PluginUnusable`."""
    if isinstance(step.target, type) and issubclass(step.target, PluginTransform):
        return concrete(Kind.STEP, step.name, step.target)
    if isinstance(step.target, type) and not callable(getattr(step.target, "execute", None)):
        raise PluginUnusable(f"The step '{step.name}' is a class without a method `execute`, and no PluginTransform.")
    return _without_keys(step.name, step.target, step.description)


@cache
def _without_keys(name: str, target: Any, description: str) -> type[PluginTransform]:
    def build(_: PluginTransform) -> Any:
        return target().execute if isinstance(target, type) else target

    made = type(f"{name}_step", (PluginTransform,), {"__doc__": description, "__module__": __name__, "build": build})
    return cast("type[PluginTransform]", made)
