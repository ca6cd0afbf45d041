"""Runs files of tests, one after the other on one engine, and reports what became of each test."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import perf_counter
from typing import Any

from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom.testing.baselines import Baselines
from loom.testing.definition.reader import LoadedSuite
from loom.testing.definition.suite import Case
from loom.testing.outcomes import Report, Result, Verdict
from loom.testing.running.options import Options
from loom.testing.running.round import Found, Round, carried_out
from loom.testing.trial import Trials, open_trials
from loom_ai.ports import Journal
from loom_ai.recordings.cassette import Cassette
from loom_ai.recordings.recorder import Recorder, Source
from loom_ai.stores.beside_journal import open_journal
from loom_common.errors import LoomError
from loom_common.statistics.intervals import wilson

_SECRET_NAME = re.compile(r"(KEY|TOKEN|PASSWORD|SECRET)$")
_REFERENCE = re.compile(r"\$\{[^}]+\}")
_SHORTEST_SECRET = 8
Tell = Callable[[Result], None]
"""Is told of each result as soon as it is there."""


def shown(path: Path) -> str:
    """Write a path as one would write it here."""
    return os.path.relpath(path)


def chosen(suite: LoadedSuite, options: Options) -> list[Case]:
    """Return the tests of a file that the options choose."""
    file = shown(suite.path)
    wanted = (options.filter or "").casefold()
    return [
        case
        for case in suite.suite.tests
        if wanted in f"{file}::{case.name}".casefold()
        and (options.failed is None or f"{file}::{case.name}" in options.failed)
    ]


async def run(suites: Sequence[LoadedSuite], config: LoomConfig, options: Options, tell: Tell | None = None) -> Report:
    """Run the chosen tests of the files. Raises `ConfigurationError` where recordings cannot be read or written."""
    began = perf_counter()
    recorder = recorder_for([suite.loaded for suite in suites], config, options)
    results: list[Result] = []
    written: list[str] = []
    try:
        async with open_trials(config, recorder) as trials:
            for suite in suites:
                if not (cases := chosen(suite, options)):
                    continue
                for result in await _of_suite(suite, cases, trials, recorder, options, written):
                    results.append(result)
                    if tell is not None:
                        tell(result)
    finally:
        await recorder.close()
    counts = recorder.counts
    return Report(
        results,
        perf_counter() - began,
        counts.calls,
        counts.paid,
        counts.replayed,
        counts.from_journal,
        written,
    )


def recorder_for(pipelines: Iterable[LoadedPipeline], config: LoomConfig, options: Options) -> Recorder:
    """Return a recorder that gives answers as the options say."""
    source = Source.LIVE if options.live else Source.MISSING if options.update else Source.RECORDED
    journal = None if options.live else _journal(config)
    return Recorder(source, journal, _redacting(pipelines, config), options.budget, records=options.update)


async def _of_suite(
    suite: LoadedSuite,
    cases: Sequence[Case],
    trials: Trials,
    recorder: Recorder,
    options: Options,
    written: list[str],
) -> list[Result]:
    cassette, baselines = Cassette.load(suite.cassette), Baselines.load(suite.baselines)
    recorder.use(cassette, _also(suite), suite.loaded.pipeline.prices)
    round_ = Round(suite, trials, recorder, options, baselines)
    rounds: list[Mapping[str, Found]] = []
    for _ in range(options.repeat):
        recorder.next_round()
        rounds.append(await carried_out(round_, cases))
    results = [_result(suite, case, [each[case.name] for each in rounds]) for case in cases]
    if options.update:
        complete = options.whole and all(each.error is None for each in results)
        files = [(cassette.save(unused=not complete), suite.cassette), (baselines.save(), suite.baselines)]
        written += [shown(path) for changed, path in files if changed]
    return results


def _result(suite: LoadedSuite, case: Case, rounds: Sequence[Found]) -> Result:
    passed = sum(each.passed for each in rounds)
    told = next((each for each in rounds if each.error), None) or next(
        (each for each in rounds if not each.passed), rounds[0]
    )
    interval = wilson(len(rounds) - passed, len(rounds)) if len(rounds) > 1 else None
    verdict = Verdict.ERROR if told.error else Verdict.FAILED if told.failures else Verdict.PASSED
    return Result(
        file=shown(suite.path),
        line=suite.line_of(case),
        name=case.name,
        type=case.type,
        pipeline=suite.loaded.pipeline.name,
        verdict=verdict,
        failures=told.failures,
        error=told.error,
        seconds=sum(each.seconds for each in rounds),
        measured=dict(told.measured),
        rounds=len(rounds),
        rounds_passed=passed,
        flakiness=None if interval is None else (interval.low, interval.high),
    )


def _journal(config: LoomConfig) -> Journal | None:
    """Return the project's journal, whose answers are paid for, where it is a file that is there: a test reaches no
    server for it."""
    settings = config.settings()
    url = settings.journal.url.get_secret_value()
    if not url.startswith("sqlite:///"):
        return None
    path = settings.project_dir.resolve() / url.removeprefix("sqlite:///")
    return open_journal(url, settings.project_dir.resolve()) if path.is_file() else None


def _redacting(pipelines: Iterable[LoadedPipeline], config: LoomConfig) -> Callable[[str], str]:
    """Return what replaces the secrets that this process knows: those that the pipelines refer to, and variables of the
    environment that are named like one."""
    secrets = {
        value
        for name, value in os.environ.items()
        if _SECRET_NAME.search(name.upper()) and len(value) >= _SHORTEST_SECRET
    }
    credentials = config.secrets
    for pipeline in pipelines:
        for reference in _references(pipeline.definition):
            with suppress(LoomError):
                credentials.expand(reference)
    longest_first = sorted(secrets, key=len, reverse=True)

    def without(text: str) -> str:
        text = credentials.without_secrets(text)
        for secret in longest_first:
            text = text.replace(secret, "***")
        return text

    return without


def _references(written: Any) -> Iterator[str]:
    if isinstance(written, str):
        yield from _REFERENCE.findall(written)
    elif isinstance(written, Mapping):
        for value in written.values():
            yield from _references(value)
    elif isinstance(written, list):
        for value in written:
            yield from _references(value)


def _also(suite: LoadedSuite) -> Callable[[str], str]:
    patterns = [re.compile(each) for each in suite.suite.redact]

    def without(text: str) -> str:
        for pattern in patterns:
            text = pattern.sub("[redacted]", text)
        return text

    return without
