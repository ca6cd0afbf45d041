"""Lists the types of steps: Loom's own, and those that packages offer or this process has registered."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel

from loom_common.domain.definition.transforms.kinds import TRANSFORMS
from loom_common.domain.definition.transforms.own_code import PluginTransform, keys_of
from loom_common.domain.definition.transforms.steps import STEPS
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.steps.operators import OPERATORS
from loom_common.domain.steps.registered.find import PACKAGES, is_own, registered_step, step_names
from loom_common.domain.steps.registered.step import PipelineStep, pipeline_step, step_of
from loom_common.domain.values.near import closest
from loom_common.errors import ConfigurationError, PluginUnusable
from loom_common.plugins.installed import DISTRIBUTION, offers
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import is_reference, register

__all__ = ["Key", "ListedStep", "PipelineStep", "list_steps", "pipeline_step", "register_step", "step_shown"]


def register_step(step: Any) -> None:
    """Make the name of a step that is decorated with `@pipeline_step` mean this step, in this process. Raises
    `ConfigurationError` where it is not decorated, or has the name of a step of Loom's own."""
    described = step_of(step)
    if described is None:
        raise ConfigurationError(f"{step!r} is no step. Decorate it with `@pipeline_step`.")
    register(Kind.STEP, described.name, step, (*TRANSFORMS, *OPERATORS))


@dataclass(frozen=True, slots=True)
class Key:
    """Describes a key that a step has beside those of every step."""

    name: str
    default: Any
    needed: bool
    meaning: str


@dataclass(frozen=True, slots=True)
class ListedStep(Shown):
    """Describes a type of step, and where it comes from."""

    name: str
    description: str
    version: str
    package: str
    scope: str = "record"
    phase: str | None = None
    criticality: str = "required"
    dependencies: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: dict[str, Any] | None = None
    """None where what it makes depends on its keys, or is not known."""
    keys: tuple[Key, ...] = ()
    problem: str | None = None
    """Says why it cannot be used; None where it can."""

    @property
    def is_own(self) -> bool:
        """Tell whether Loom brings it."""
        return is_own(self.name)


def list_steps() -> list[ListedStep]:
    """List every type of step that may be named here, and those of Loom's own packages that are not installed. What
    packages offer is imported, because it describes itself."""
    return [*_own(), *(_registered(name) for name in step_names()), *_absent()]


def step_shown(name: str) -> ListedStep:
    """Return one type of step. Raises `ConfigurationError` where there is none of that name."""
    if is_reference(name) and not is_own(name):
        return _registered(name)
    listed = {each.name: each for each in list_steps()}
    if name in listed:
        return listed[name]
    near = closest(name, listed)
    hint = f" Did you mean '{near}'?" if near else ""
    raise ConfigurationError(f"There is no step '{name}' here.{hint} `loom steps list` shows all.")


def _own() -> Iterator[ListedStep]:
    installed = version(DISTRIBUTION)
    for name, model in (*TRANSFORMS.items(), *OPERATORS.items()):
        if name != STEPS:
            yield ListedStep(name, _sentence(model), installed, "loom", keys=_keys(model))


def _registered(name: str) -> ListedStep:
    offered = offers(Kind.STEP, name)
    package, of_package = (offered[0].package, offered[0].version) if offered else ("(registered in this process)", "")
    try:
        step = registered_step(name)
        if step is None:
            raise PluginUnusable(f"'{name}' names no step: nothing there is decorated with `@pipeline_step`.")
        model = keys_of(step)
    except PluginUnusable as error:
        return ListedStep(name, "", of_package, package, problem=str(error))
    return ListedStep(
        name,
        step.description,
        step.version,
        f"{package} {of_package}".strip(),
        step.scope,
        step.phase,
        step.criticality,
        step.dependencies,
        step.inputs_of({}),
        None if callable(step.outputs) else step.outputs_of({}),
        _keys(model),
    )


def _absent() -> Iterator[ListedStep]:
    here = set(step_names())
    for name, package in PACKAGES.items():
        if name not in here:
            yield ListedStep(
                name, "", "", package, "", criticality="", problem=f"It is not installed: pip install {package}"
            )


def _keys(model: type[BaseModel]) -> tuple[Key, ...]:
    """Return the keys that a model has beside those of every transform and every step."""
    base = {*PluginTransform.model_fields, "needs", "when", "scope", "phase", "criticality"}
    return tuple(
        Key(
            field.alias or name,
            None if field.is_required() else field.get_default(call_default_factory=True),
            field.is_required(),
            field.description or "",
        )
        for name, field in model.model_fields.items()
        if name not in base and name != "name"
    )


def _sentence(model: type[BaseModel]) -> str:
    words = " ".join((inspect.getdoc(model) or "").partition("\n\n")[0].split())
    return f"{words.partition('. ')[0].removesuffix('.')}."
