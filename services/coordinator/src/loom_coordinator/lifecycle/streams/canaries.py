"""Says which version of a pipeline is on trial in a stream, and with which share of the records."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from loom_common.domain.run.piece import Share
from loom_common.domain.values.ids import content_hash
from loom_coordinator.db.streams import Stream

if TYPE_CHECKING:
    from loom_common.domain.definition.streams.canary import CanaryConfig
    from loom_coordinator.lifecycle.streams.canary_rule import Verdict

VERSION = ("pipeline_version", "definition", "prompt_version", "context_versions", "params")
"""Names the columns of a run that say which version it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """Represents `streams.canary`."""

    plan: str
    template: Mapping[str, Any]
    """Holds the columns of each of its runs that follow from it."""
    every: float
    records: int
    share: float
    keys: tuple[str, ...]
    """The key of records in the version that the others have."""
    since: int
    """The number of the first window that shares its records."""

    def row(self) -> dict[str, Any]:
        """Return the value of the column."""
        return {**asdict(self), "keys": list(self.keys)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Represents `streams.decided`: what became of the last version on trial, by its rule."""

    decision: str
    """`promote` or `roll_back`."""
    reason: str
    version: str
    """The version that was on trial."""
    other: str
    """The version that had the other records."""
    window: int
    """The number of the newest window when it was decided."""
    at: str
    of: str
    """Tells the version that was on trial from all others, as `identity` does."""

    @staticmethod
    def of_row(row: Mapping[str, Any] | None) -> Decided | None:
        """Return the value of the column; None where nothing was decided."""
        return None if row is None else Decided(**row)

    @staticmethod
    def by(verdict: Verdict, canary: Canary, stream: Stream, now: dt.datetime) -> Decided:
        """Return what a verdict on the version on trial of a stream has decided."""
        return Decided(
            decision=verdict.decision,
            reason=verdict.reason,
            version=canary.template["pipeline_version"],
            other=stream.template["pipeline_version"],
            window=stream.number,
            at=now.isoformat(),
            of=identity(canary.template),
        )

    def row(self) -> dict[str, Any]:
        """Return the value of the column."""
        return asdict(self)


def identity(template: Mapping[str, Any]) -> str:
    """Return what tells a version from all others."""
    return content_hash(json.dumps([template.get(name) for name in VERSION], sort_keys=True, default=str).encode())


def is_rolled_back(stream: Stream, template: Mapping[str, Any]) -> bool:
    """Tell whether the rule of this version has rolled it back, and nothing was decided since."""
    decided = Decided.of_row(stream.decided)
    return decided is not None and decided.decision == "roll_back" and decided.of == identity(template)


def rule_of(canary: Canary) -> CanaryConfig | None:
    """Return what decides on a version on trial; None where somebody does."""
    from loom_common.domain.definition.streams.canary import CanaryConfig  # few streams have a version on trial

    written = canary.template["definition"].get("canary")
    return None if written is None else CanaryConfig.model_validate(written)


def promoted(canary: Canary) -> dict[str, Any]:
    """Return the columns of a stream whose version on trial has all records from the next window on."""
    names = ("plan", "template", "every", "records")
    return {**{name: getattr(canary, name) for name in names}, "canary": None, "decided": None}


def rolled_back() -> dict[str, Any]:
    """Return the columns of a stream whose version on trial gets no more records."""
    return {"canary": None, "decided": None}


def of_stream(stream: Stream) -> Canary | None:
    """Return the version on trial of a stream; None where none is."""
    return None if stream.canary is None else Canary(**{**stream.canary, "keys": tuple(stream.canary["keys"])})


def share_of(stream: Stream) -> Share | None:
    """Return which records the next window of a stream reads; None for all."""
    canary = of_stream(stream)
    return None if canary is None else Share(canary=canary.share, keys=canary.keys, on_trial=False)
