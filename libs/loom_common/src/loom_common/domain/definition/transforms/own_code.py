"""Defines the transforms whose code is the user's own: type `python`, those that a plugin brings, and registered
steps, whose keys are those of the class that they are, or none beside those of every step."""

from abc import abstractmethod
from collections.abc import Callable
from functools import cache
from typing import Any, Literal, cast

from pydantic import Field

from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.plugin_section import PluginSection, concrete
from loom_common.domain.section import FunctionRef
from loom_common.domain.steps.registered.find import registered_step
from loom_common.domain.steps.registered.step import PipelineStep
from loom_common.errors import PluginUnusable
from loom_common.plugins.kinds import Kind


class PythonTransformConfig(TransformConfig):
    """A function of yours is called with each record."""

    type: Literal["python"]
    function: FunctionRef = Field(description="`module:name` of `def f(record: dict) -> dict`, sync or async.")

    @property
    def made_by(self) -> str | None:
        return self.function


class PluginTransform(PluginSection, TransformConfig):
    """Serves as the base of transforms that a plugin brings. A subclass adds its own keys, and builds what
    transforms."""

    type: str

    @abstractmethod
    def build(self) -> Callable[..., Any]:
        """Build a function, sync or async, of a record's input that returns its output, a dict; in a step of the scope
        `batch`, of a list of inputs that returns a list of outputs. It is built once for
        each pipeline version in every transformer process."""


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
