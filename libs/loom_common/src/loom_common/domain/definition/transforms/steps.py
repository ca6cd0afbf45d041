"""Defines the transform that has `steps`, each of which is a transform or an operator of its own."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, SerializationInfo, WrapValidator

from loom_common.domain.definition.transforms.step_fields import group_fields, made_by, merged_schema, number_fields
from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.schema.output import TEXT, is_json_schema, json_schema
from loom_common.domain.section import Mistake, mistake, said
from loom_common.domain.steps.checking.mistakes import step_mistakes
from loom_common.domain.steps.graph import Graph, graph_of
from loom_common.domain.steps.keys import StepKeys
from loom_common.domain.steps.operators import GroupStep
from loom_common.domain.steps.registered.adding import dependency_mistakes, inputs_by_step, written_out
from loom_common.domain.steps.registered.find import is_own
from loom_common.domain.steps.resolving import of_the_file, with_blocks

STEPS = "steps"
"""The `type` of a transform that has steps, which nobody has to write."""
_SHOWN = 4
_LONGEST = 200


def _read(written: Any, _: Any) -> Any:
    from loom_common.domain.definition.transforms.step_keys import read_step  # which stands on this module

    return read_step(written)


def _dump(step: StepKeys, info: SerializationInfo) -> Any:
    """Return a step with the keys of its own type. What a registered step says of itself is said also where it is the
    default: it would be read back as what the step's package says."""
    made: dict[str, Any] = step.model_dump(
        mode=info.mode,
        by_alias=info.by_alias,
        exclude_unset=info.exclude_unset,
        exclude_defaults=info.exclude_defaults,
        exclude_none=info.exclude_none,
    )
    said_by_packages = () if is_own(said(step, "type")) else ("scope", "criticality")
    return {**{key: getattr(step, key) for key in said_by_packages}, **made}


AnyStep = Annotated[StepKeys, WrapValidator(_read), PlainSerializer(_dump)]


class StepsTransformConfig(TransformConfig):
    """Named steps make the output together: each adds its fields to the record, which later steps see."""

    type: Literal["steps"]
    steps: list[AnyStep] = Field(
        min_length=1, max_length=200, description="The steps. In what order they run, `needs` says, and not the list."
    )
    parallel: bool = Field(True, description="Whether steps that do not need each other run at the same time.")

    @classmethod
    def long_form(cls, written: Any) -> Any:
        """The steps say what the type is, and registered ones what comes with them."""
        written = with_blocks(written_out(TransformConfig.long_form(written)))
        return {"type": "steps", **written} if isinstance(written, Mapping) else written

    @cached_property
    def graph(self) -> Graph:
        """Return the order of the steps. Every batch asks for it, so it is made once."""
        return graph_of(self.steps)

    def question_of(self, step: StepKeys, most: int | None = None) -> Any:
        """Return the question of a step that is an operator as a transform of type `ai`; None where it asks no model.
        `most` is how many candidates it is about."""
        from loom_common.domain.definition.transforms.step_keys import question_of  # which stands on this module

        return question_of(step, most)

    @property
    def steps_that_group(self) -> list[GroupStep]:
        """Return the steps that make one record of many, each after the one before it."""
        steps = [self.steps[self.graph.by_name[name].at] for name in self.graph.groups]
        return [step for step in steps if isinstance(step, GroupStep)]

    @cached_property
    def group_fields(self) -> tuple[str, ...] | None:
        """Return the fields that tell the groups apart whose records leave the steps; None where none groups."""
        return group_fields(self)

    @property
    def made_by(self) -> str | None:
        """Return the models, scorers and functions of the steps, each once."""
        steps: list[Any] = list(self.steps)
        named = list(
            dict.fromkeys(step.made_by for step in steps if isinstance(step, TransformConfig) and step.made_by)
        )
        shown = ", ".join(named[:_SHOWN])
        return (f"{shown} and {len(named) - _SHOWN} more" if len(named) > _SHOWN else shown)[:_LONGEST] or None

    @cached_property
    def declared_schema(self) -> Mapping[str, Any] | None:
        if self.shape is not None:
            return json_schema(self.shape)
        return merged_schema(self.steps)

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """The steps make a graph; what fails, fails in a step."""
        yield from TransformConfig.mistakes(written)
        steps = said(written, "steps")
        if isinstance(steps, list):
            made = {name: made_by(step) for step in steps if isinstance(name := said(step, "name"), str)}
            found = step_mistakes(steps, made, inputs_by_step(steps))
            for each in (*found, *dependency_mistakes(steps)):
                yield {**each, "loc": ("steps", *of_the_file(steps, each.get("loc", ())))}
        for key, where in (("calibration", "the step whose output it is for"), ("fallback", "the step that may fail")):
            if said(written, key) is not None:
                yield mistake((key,), "strange_for_type", f"no `{key}` beside `steps`; it belongs to {where}")
        if said(written, "on_failure") in ("retry", "fallback"):
            expected = "`quarantine`, `skip` or `abort` beside `steps`; a step that tries again or falls back says so"
            yield mistake(("on_failure",), "strange_for_type", expected, said(written, "on_failure"))
        declared = said(written, "output")
        if isinstance(declared, Mapping):
            names = (declared.get("properties") or {}) if is_json_schema(declared) else declared
            for number in number_fields(written):
                if number not in names:
                    expected = f"`{number}: integer` among its fields, which tells the records made of one apart"
                    yield mistake(("output",), "derived_rows", expected, declared)
        if said(written, "output") == TEXT:
            yield mistake(("output",), "strange_for_type", "fields beside `steps`, as each step adds its own", TEXT)
