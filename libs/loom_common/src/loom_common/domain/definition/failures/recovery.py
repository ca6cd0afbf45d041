"""Defines the keys of each stage about failures: what happens to a record that fails, and how many a run accepts."""

from typing import Literal

from pydantic import Field

from loom_common.domain.section import Section

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
