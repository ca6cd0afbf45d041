"""Defines the keys that every transform has, whatever its type."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from pydantic import Field

from loom_common.domain.definition.failures.fallback import FallbackConfig, fallback_fits, meant_by_presence
from loom_common.domain.definition.failures.recovery import ON_FAILURE_OR_FALLBACK, OnFailure, Recovery
from loom_common.domain.json_values.whole_numbers import Turn, whole_numbers
from loom_common.domain.schema.contract import SchemaConfig
from loom_common.domain.schema.output import TEXT, OutputSpec, json_schema
from loom_common.domain.section import Mistake, mistake, said


class TransformConfig(Recovery):
    """Says how a record's output is made from its input: by the `type`, which has keys of its own beside these."""

    output: OutputSpec | None = Field(
        None,
        description="The shape of the output, short form or JSON Schema: enforced, misfits are quarantined. Or `text`.",
    )
    schema_: SchemaConfig | None = Field(
        None,
        alias="schema",
        description="The same as `extract.schema` for what the model or the code answered, before it is evaluated.",
    )
    calibration: str | None = Field(
        None,
        min_length=1,
        description="A file that `loom bench calibrate` wrote: the confidence that an output states is turned into the "
        "probability that it is right.",
    )
    on_failure: OnFailure = Field("quarantine", description=ON_FAILURE_OR_FALLBACK)
    fallback: FallbackConfig | None = Field(
        None, description="`[gpt-4o]`, `{value: {...}}` or `{cached: true}`: what answers in place of a failure."
    )

    @property
    def shape(self) -> dict[str, Any] | None:
        """Return the spec of the output, however it was written; None where any output is valid."""
        return {TEXT: "string"} if isinstance(self.output, str) else self.output

    @cached_property
    def declared_schema(self) -> Mapping[str, Any] | None:
        """Return the JSON Schema of `shape`; None where any output is valid. Every batch is read with it, and checking
        one of thirty fields takes 10 ms, so it is made once."""
        if self.shape is None:
            return None
        schema = json_schema(self.shape)
        return {**schema, "properties": {**schema.get("properties", {}), **self.added}} if self.added else schema

    @cached_property
    def whole_numbers(self) -> Turn | None:
        """Return what makes integers of the numbers that `declared_schema` declares to be some; None for none."""
        return None if self.declared_schema is None else whole_numbers(self.declared_schema)

    @property
    def added(self) -> Mapping[str, Any]:
        """Return the schemas of the fields that Loom adds to what was answered."""
        return {}

    @property
    def made_by(self) -> str | None:
        """Return the model, scorer or function that makes the output; None where the type says it all."""
        return None

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return meant_by_presence(written)

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """A fallback goes with `on_failure`, and asks no model where the transform asks none."""
        yield from fallback_fits(written)
        fallback = FallbackConfig.long_form(said(written, "fallback"))
        if fallback is not None and said(fallback, "value") is None:
            expected = "`fallback: {value: {...}}`: only a transform of type ai asks models"
            yield mistake(("fallback",), "strange_for_type", expected, fallback)
