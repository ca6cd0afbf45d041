"""Defines bounds of a number: `{min: 0.2, max: 0.4}`, `{value: 0.3, within: 0.05}`, or the number itself."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from loom_common.domain.section import Mistake, Section, mistake, said

_ROUNDING = 1e-9


class Bounds(Section):
    """Bounds a number, both ends inclusive."""

    min: float | None = Field(None, description="The least that passes.")
    max: float | None = Field(None, description="The most that passes.")
    value: float | None = Field(None, description="Instead: the number itself.")
    within: float = Field(0.0, ge=0, description="How far from `value` it may be.")

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"value": written} if isinstance(written, int | float) and not isinstance(written, bool) else written

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of both forms, for editors."""
        written = handler.resolve_ref_schema(handler(core_schema))
        return {"description": written.pop("description", ""), "anyOf": [{"type": "number"}, written]}

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Demand one way to say it, with ends in their order."""
        least, most, value = (said(written, key) for key in ("min", "max", "value"))
        if least is None and most is None and value is None:
            yield mistake((), "missing_for_type", "`min`, `max` or both; or `value`, with `within` beside it", written)
        if value is not None and (least is not None or most is not None):
            yield mistake(("value",), "strange_for_type", "no `value` beside `min` and `max`", value)
        if value is None and said(written, "within") is not None:
            yield mistake(("within",), "strange_for_type", "`value` beside `within`", said(written, "within"))
        if isinstance(least, int | float) and isinstance(most, int | float) and least > most:
            yield mistake(("max",), "bounds", f"{least:g} or more, as `min` says", most)

    def holds(self, number: float) -> bool:
        """Tell whether a number is within the bounds; a last binary digit does not decide."""
        if self.value is not None:
            return abs(number - self.value) <= self.within + _ROUNDING * max(1.0, abs(self.value))
        low = self.min is None or number >= self.min - _ROUNDING * max(1.0, abs(self.min))
        return low and (self.max is None or number <= self.max + _ROUNDING * max(1.0, abs(self.max)))

    def __str__(self) -> str:
        if self.value is not None:
            return f"{self.value:g}" + (f" within {self.within:g}" if self.within else "")
        if self.min is None:
            return f"{self.max:g} at most"
        return f"{self.min:g} at least" if self.max is None else f"{self.min:g} to {self.max:g}"
