"""Runs chosen tests of one file once, and says what each came to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from loom.testing.baselines import Baselines
from loom.testing.definition.reader import LoadedSuite
from loom.testing.definition.suite import Case, DistributionalCase, IntegrationCase, UnitCase
from loom.testing.outcomes import Failure
from loom.testing.running.options import Options
from loom.testing.trial import Trials
from loom_ai.recordings.recorder import Recorder
from loom_common.errors import ConfigurationError, LoomError
from loom_common.text import words_of


@dataclass(frozen=True, slots=True)
class Found:
    """Says what one test came to in one round."""

    failures: Sequence[Failure] = ()
    error: str | None = None
    seconds: float = 0.0
    measured: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Tell whether everything that the test expects holds."""
        return self.error is None and not self.failures


@dataclass(frozen=True, slots=True)
class Round:
    """Holds what the tests of a round share."""

    suite: LoadedSuite
    trials: Trials
    recorder: Recorder
    options: Options
    baselines: Baselines

    def params_of(self, case: Case) -> dict[str, Any]:
        """Return the parameters of a test: those of the command line outweigh its own, and these the file's."""
        return {**self.suite.suite.params, **case.params, **self.options.params}

    def sample_of(self, case: DistributionalCase | IntegrationCase) -> int | None:
        """Return how many records of its source a test reads at most; None for all."""
        limits = [each for each in (case.sample, self.options.sample) if each is not None]
        return min(limits, default=None)

    def source_of(self, source: str | None) -> str | None:
        """Return a location that the tests name, from their folder."""
        if source is None or "://" in source:
            return source
        return str((self.suite.folder / source).resolve())


async def carried_out(round_: Round, cases: Sequence[Case]) -> dict[str, Found]:
    """Run the tests, and return what each came to, by name."""
    from loom.testing.running import distributional, integration, unit

    found: dict[str, Found] = {}
    for group in _groups(case for case in cases if isinstance(case, UnitCase)):
        found |= await _together(group, unit.checked(round_, group))
    for over_source in _by_source(round_, (case for case in cases if isinstance(case, DistributionalCase))):
        found |= await _together(over_source, distributional.checked(round_, over_source))
    for case in cases:
        if isinstance(case, IntegrationCase):
            found |= await _together([case], integration.checked(round_, case))
    return found


async def _together(cases: Sequence[Case], work: Any) -> dict[str, Found]:
    """Wait for tests that share a run. What keeps the run from beginning is an error of each."""
    began = perf_counter()
    try:
        found: dict[str, Found] = await work
    except LoomError as error:
        found = {case.name: Found(error=words_of(error)) for case in cases}
    each = (perf_counter() - began) / max(1, len(cases))
    return {name: Found(one.failures, one.error, each, one.measured) for name, one in found.items()}


def _groups(cases: Iterable[UnitCase]) -> list[list[UnitCase]]:
    """Group unit tests that can share a run: those with the same parameters."""
    groups: dict[str, list[UnitCase]] = {}
    for case in cases:
        groups.setdefault(repr(sorted(case.params.items())), []).append(case)
    return list(groups.values())


def _by_source(round_: Round, cases: Iterable[DistributionalCase]) -> list[list[DistributionalCase]]:
    groups: dict[str, list[DistributionalCase]] = {}
    for case in cases:
        groups.setdefault(repr((case.source, round_.sample_of(case), sorted(case.params.items()))), []).append(case)
    return list(groups.values())


def refuse_failed(error: str | None) -> None:
    """Raise `ConfigurationError` where a run under test did not get to its end."""
    if error:
        raise ConfigurationError(error)
