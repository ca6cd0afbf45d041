"""Defines the `fallback` of a transform: what answers in place of a failure."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from loom_common.domain.section import Mistake, Section, mistake, said


class FallbackConfig(Section):
    """Says what produces the output of a record that the transform fails on. The short form `[model, ...]` lists
    models."""

    models: list[str] = Field(
        [],
        description="`ai`: other models, asked in this order; also at once where the one before is away.",
    )
    value: dict[str, Any] | None = Field(None, description="Always this output.")
    cached: bool = Field(
        False, description="`ai`: the last good answer for the same record, by its key, of this or an earlier run."
    )

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"models": written} if isinstance(written, list) else written

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Exactly one of the three kinds of fallback is required."""
        named = bool(said(written, "models")) + (said(written, "value") is not None) + bool(said(written, "cached"))
        if named != 1:
            expected = "one of a list of models, `value: {...}` and `cached: true`"
            yield mistake((), "missing_for_type", expected, written)


def meant_by_presence(section: Any) -> Any:
    """Set `on_failure: fallback` where a section has a `fallback` and no `on_failure`."""
    if isinstance(section, dict) and section.get("fallback") is not None and "on_failure" not in section:
        return {**section, "on_failure": "fallback"}
    return section


def fallback_fits(written: Any) -> Iterable[Mistake]:
    """Check that `on_failure: fallback` and `fallback` require each other."""
    on_failure, fallback = said(written, "on_failure"), said(written, "fallback")
    if on_failure == "fallback" and fallback is None:
        yield mistake(("on_failure",), "missing_for_type", "`fallback`, which on_failure: fallback needs", on_failure)
    if on_failure not in (None, "fallback") and fallback is not None:
        yield mistake(("fallback",), "strange_for_type", f"no `fallback` with on_failure: {on_failure}", fallback)
