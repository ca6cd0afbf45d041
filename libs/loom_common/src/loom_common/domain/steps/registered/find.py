"""Finds registered steps by their names."""

from __future__ import annotations

from typing import Any

from loom_common.domain.steps.operators import OPERATORS
from loom_common.domain.steps.registered.step import PipelineStep, step_of
from loom_common.errors import PluginUnusable
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find, names

OWN_TRANSFORMS = frozenset({"ai", "embed", "scorer", "python", "passthrough", "metrics", "enrich", "steps"})
"""Names the transforms that Loom brings: as the `type` of a step, each of these is never a registered step."""
PACKAGES = {
    "distributions": "loom-statistics",
    "outliers": "loom-statistics",
    "drift": "loom-statistics",
}
"""Says which of Loom's own step packages offers a step, so that a machine without it can be told."""


def is_own(kind: Any) -> bool:
    """Tell whether a step of this type is one that Loom brings."""
    return kind in OWN_TRANSFORMS or kind in OPERATORS


def registered_step(kind: Any) -> PipelineStep | None:
    """Return the registered step of a name, or of `module:name`; None where there is none. Raises `PluginUnusable`
    where it is there and does not serve."""
    if not isinstance(kind, str) or is_own(kind):
        return None
    if ":" in kind:  # a transform may be named so, too, and says itself what is wrong with it
        try:
            found = find(Kind.STEP, kind)
        except PluginUnusable:
            return None
        return step_of(found)
    found = find(Kind.STEP, kind)
    if found is None:
        return None
    step = step_of(found)
    if step is None:
        raise PluginUnusable(f"The step '{kind}' is not decorated with `@pipeline_step`, as every step is.")
    if step.name != kind:
        raise PluginUnusable(f"The step '{kind}' calls itself '{step.name}'. Give it one name.")
    return step


def usable_step(kind: Any) -> PipelineStep | None:
    """Return the registered step of a name; None also where it does not serve, which is told elsewhere."""
    try:
        return registered_step(kind)
    except PluginUnusable:
        return None


def step_names() -> list[str]:
    """Return the steps that packages offer here, or this process has registered."""
    return names(Kind.STEP)


def package_of(kind: Any) -> str | None:
    """Return the package to install for a step that nobody offers here; None where it is not known."""
    return PACKAGES.get(kind) if isinstance(kind, str) else None
