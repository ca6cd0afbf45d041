"""Says what became of tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from loom_common.domain.json_values.shown import Shown


class Verdict(StrEnum):
    """Lists what may become of a test."""

    PASSED = "passed"
    FAILED = "failed"
    """The test ran, and an expectation does not hold, or an answer that is needed is not recorded."""
    ERROR = "error"
    """The test could not run."""


@dataclass(frozen=True, slots=True)
class Failure(Shown):
    """Describes one expectation that does not hold."""

    what: str
    """The key of the expectation: `exact.sentiment`, `gate`."""
    expected: str
    found: str
    why: str | None = None
    """Says more, where more is known: the record's reason, the judge's explanation."""

    def __str__(self) -> str:
        more = f" ({self.why})" if self.why else ""
        return f"{self.what}: expected {self.expected}, found {self.found}{more}"


@dataclass(frozen=True, slots=True)
class Result(Shown):
    """Says what became of one test."""

    file: str
    line: int | None
    name: str
    type: str
    pipeline: str
    verdict: Verdict
    failures: Sequence[Failure] = ()
    """Holds the failures of the first round that failed."""
    error: str | None = None
    """Says why it could not run."""
    seconds: float = 0.0
    measured: dict[str, Any] = field(default_factory=dict)
    """Holds what the test measured, by the key of the expectation."""
    rounds: int = 1
    rounds_passed: int = 1
    flakiness: tuple[float, float] | None = None
    """The interval, at 95%, of the share of rounds that fail; None where it ran once."""

    @property
    def id(self) -> str:
        """Return what names the test among all: its file and its name."""
        return f"{self.file}::{self.name}"

    @property
    def message(self) -> str:
        """Say in one text what is wrong with it; empty where it passed."""
        return self.error or "; ".join(map(str, self.failures))


@dataclass(frozen=True, slots=True)
class Report(Shown):
    """Says what became of all tests of one call of `loom test`."""

    results: Sequence[Result]
    seconds: float
    calls: int
    """Calls to models that were made."""
    cost: float
    """USD that they cost."""
    replayed: int
    """Answers that were taken from recordings."""
    from_journal: int
    """Answers that were taken from the project's journal, and are not recorded unless `--update` was given."""
    written: Sequence[str] = ()
    """Files of recordings and baselines that were written."""

    def number(self, verdict: Verdict) -> int:
        """Return how many tests came to a verdict."""
        return sum(each.verdict is verdict for each in self.results)

    @property
    def exit_code(self) -> int:
        """Return 0 where all passed, 2 where one could not run, else 1."""
        if self.number(Verdict.ERROR):
            return 2
        return 1 if self.number(Verdict.FAILED) else 0
