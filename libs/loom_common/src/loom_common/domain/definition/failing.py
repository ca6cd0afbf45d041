"""Defines the settings of failure handling: what happens to a record that fails, how many failures a run accepts, and
what may take how long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.section import Mistake, Section, mistake, said
from loom_common.domain.values.durations import Limit

OnFailure = Literal["quarantine", "skip", "retry", "fallback", "abort"]
OnFailureHere = Literal["quarantine", "skip", "retry", "abort"]
"""Holds the values of `on_failure` in a stage that has no fallback."""
ON_FAILURE = (
    "What becomes of a record that fails here: `quarantine` keeps it with its reason, `skip` counts it as skipped "
    "(and keeps it too), `retry` tries it `max_attempts` times before it is quarantined, `abort` fails the run."
)
ON_FAILURE_OR_FALLBACK = (
    f"{ON_FAILURE[:-1]}, `fallback` takes what `fallback` names, whose presence is enough to say so."
)


class Recovery(Section):
    """Says how a stage handles failures. Each of the four stages has these keys."""

    max_attempts: int = Field(
        3, ge=1, le=20, description="`retry`: tries of a record in all; 1 s apart, doubling to 60 s, with jitter."
    )
    max_failures: int | None = Field(
        None,
        ge=0,
        description="More failed records than this end the run: `partial` if any are loaded, else `failed`. "
        "`loom resume` goes on, and counts anew.",
    )
    max_failure_rate: float | None = Field(
        0.5,
        ge=0,
        le=1,
        description="So does a larger share of failed records, once 20 have been through this stage. A rejection by "
        "the gate is no failure. `null` for no limit; a replay has none unless it is written here.",
    )


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


class FallbackConfig(Section):
    """Says what produces the output of a record that the transform fails on. The short form `[model, ...]` lists
    models."""

    models: list[str] = Field(
        default_factory=list,
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


class Timeouts(Section):
    """Holds the time limits, written as `30s`, `15m`, `12h` or `7d`."""

    record: Limit = Field("2m", description="One record in the transform, or in the evaluators. Past it: quarantined.")
    batch: Limit = Field("30m", description="One batch in a worker. Past it, the batch is tried again later.")
    run: Limit = Field("1h", description="The run, from its start or from being resumed. Past it, it fails.")
    extract: Limit = Field("15m", description="A slice being read. Without a fact about it for so long: asked again.")
    transform: Limit = Field("45m", description="Where no batch leaves the transform for so long: sent again.")
    evaluate: Limit = Field("30m", description="Where no batch leaves the evaluators for so long: sent again.")
    load: Limit = Field("15m", description="Where no batch is loaded for so long: sent again.")
