"""Defines what a registered step says of itself, and `@pipeline_step`, by which it says so."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args, overload

from loom_common.domain.steps.keys import PHASES, Criticality, Phase, is_name

Scope = Literal["record", "batch"]
Inputs = tuple[str, ...] | Callable[[Mapping[str, Any]], Iterable[str]]
Outputs = Mapping[str, Any] | Callable[[Mapping[str, Any]], Mapping[str, Any]] | None
T = TypeVar("T", bound=Callable[..., Any])
_ATTRIBUTE = "__loom_step__"


@dataclass(frozen=True, slots=True)
class PipelineStep:
    """Describes a step that pipelines take by its name."""

    name: str
    description: str
    target: Any = field(repr=False)
    """A function of a record, or of the records of a batch; a `PluginTransform`, which has keys of its own; or a class
    with a method `execute`."""
    version: str = "1.0.0"
    inputs: Inputs = ()
    """Names the fields that it reads, or gives them for a step as it is written."""
    outputs: Outputs = None
    """Names the fields that it makes with their types, or gives them for a step as it is written; None where they are
    not known."""
    scope: Scope = "record"
    """Says what it is given at once: one record, or all records of a batch that come to it."""
    phase: Phase | None = None
    criticality: Criticality = "required"
    dependencies: tuple[str, ...] = ()
    """Names registered steps whose fields it needs. They come before it, whether a pipeline names them or not."""

    def inputs_of(self, written: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the fields that a step reads, as it is written; none where that cannot be told."""
        found = _told(self.inputs, written)
        return tuple(str(each) for each in found) if isinstance(found, Iterable) else ()

    def outputs_of(self, written: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the fields that a step makes, as it is written; None where that cannot be told."""
        found = _told(self.outputs, written)
        return dict(found) if isinstance(found, Mapping) and found else None


def _told(said: Any, written: Mapping[str, Any]) -> Any:
    """Return what a step says of itself. A step with mistakes may hold anything, and these are told elsewhere."""
    if not callable(said):
        return said
    try:
        return said(written)
    except Exception:  # noqa: BLE001 - it is the package's code
        return None


@overload
def pipeline_step(target: T, /) -> T: ...
@overload
def pipeline_step(
    *,
    name: str | None = None,
    description: str | None = None,
    version: str | None = None,
    inputs: Inputs | list[str] | None = None,
    outputs: Outputs = None,
    scope: Scope | None = None,
    phase: Phase | None = None,
    criticality: Criticality | None = None,
    dependencies: Iterable[str] | None = None,
) -> Callable[[T], T]: ...
def pipeline_step(target: Any = None, /, **said: Any) -> Any:
    """Make a function or a class a step that pipelines take by its name, once an entry point of the group `loom.steps`
    or `register_step` offers it. What is not said here is read from attributes of the class, then from the name and
    the docstring. Raises `TypeError` and `ValueError` for what no step can be."""

    def decorated(thing: Any) -> Any:
        setattr(thing, _ATTRIBUTE, _described(thing, said))
        return thing

    return decorated if target is None else decorated(target)


def step_of(thing: object) -> PipelineStep | None:
    """Return what was said of a step by `@pipeline_step`; None of anything else."""
    try:
        found = vars(thing).get(_ATTRIBUTE)
    except TypeError:  # it has no attributes
        return None
    return found if isinstance(found, PipelineStep) else None


def _described(thing: Any, said: Mapping[str, Any]) -> PipelineStep:
    if not callable(thing):
        raise TypeError(f"a step is a function or a class, and not {type(thing).__name__}")

    def value(key: str, usual: Any = None) -> Any:
        own = said.get(key)
        if own is None and isinstance(thing, type):
            own = vars(thing).get(key)
            own = None if inspect.isroutine(own) else own
        return usual if own is None else own

    first_line = (inspect.getdoc(thing) or "").partition("\n\n")[0]
    inputs = value("inputs", ())
    step = PipelineStep(
        value("name", getattr(thing, "__name__", "")),
        " ".join(str(value("description", first_line)).split()),
        thing,
        str(value("version", "1.0.0")),
        inputs if callable(inputs) else tuple(inputs),
        value("outputs"),
        value("scope", "record"),
        value("phase"),
        value("criticality", "required"),
        tuple(value("dependencies", ())),
    )
    _check(step)
    return step


def _check(step: PipelineStep) -> None:
    if not is_name(step.name):
        raise ValueError(f"{step.name!r} is no name of a step: at most 60 letters, digits, `_` and `-`, first a letter")
    for key, known in (("scope", get_args(Scope)), ("criticality", get_args(Criticality)), ("phase", (None, *PHASES))):
        if getattr(step, key) not in known:
            choices = ", ".join(str(each) for each in known if each)
            raise ValueError(f"the {key} of the step {step.name} is one of {choices}, and not {getattr(step, key)!r}")
    if not (step.outputs is None or callable(step.outputs) or isinstance(step.outputs, Mapping)):
        raise TypeError(f"the outputs of the step {step.name} are fields with their types: {{'total': 'number'}}")
