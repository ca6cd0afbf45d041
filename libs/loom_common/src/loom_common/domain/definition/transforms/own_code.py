"""Defines the transforms whose code is the user's own: type `python`, and those that a plugin brings."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.plugin_section import PluginSection
from loom_common.domain.section import FunctionRef


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
