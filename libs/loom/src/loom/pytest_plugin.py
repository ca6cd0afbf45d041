"""Offers tests of pipelines to pytest: it collects the files in folders named `tests`, and gives the fixtures
`loom_pipeline` and `loom_tests`. Loom is imported when the first of them is used."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom.testing.definition.reader import LoadedSuite
    from loom.testing.fixtures.pipeline_under_test import PipelineUnderTest
    from loom.testing.outcomes import Report, Result
    from loom.testing.running.options import Options

_SUITE = re.compile(r"(?m)^tests:")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `loom test` that concern models."""
    group = parser.getgroup("loom", "tests of Loom's pipelines")
    group.addoption("--loom-update", action="store_true", help="Ask models for answers that are not recorded; record.")
    group.addoption("--loom-live", action="store_true", help="Ask models for every answer. This costs money.")
    group.addoption("--loom-budget", type=float, metavar="USD", help="What the calls of one file of tests may cost.")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect files of tests of pipelines: YAML in a folder `tests`, with a key `tests`."""
    if file_path.suffix not in (".yaml", ".yml") or file_path.parent.name != "tests":
        return None
    text = file_path.read_text(encoding="utf-8", errors="replace")
    return PipelineTests.from_parent(parent, path=file_path) if _SUITE.search(text) else None


class PipelineTests(pytest.File):
    """Represents a file of tests. The tests that are chosen run together, when the first of them does."""

    suite: LoadedSuite
    _results: Mapping[str, Result] | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the tests of the file. Raises `CollectError` with every mistake in it."""
        from loom.testing.definition import reader
        from loom_common.errors import ConfigurationError

        try:
            self.suite = reader.load(self.path, _config())
        except ConfigurationError as error:
            raise self.CollectError(str(error)) from None
        for case in self.suite.suite.tests:
            yield PipelineTest.from_parent(self, name=case.name)

    def result_of(self, name: str) -> Result:
        """Return what became of a test. Raises `LoomError` where no test of the file could begin."""
        from loom.testing.fixtures.pipeline_under_test import waited_for
        from loom.testing.running import suites

        if self._results is None:
            chosen = {item.name for item in self.session.items if item.parent is self}
            everything = chosen == {case.name for case in self.suite.suite.tests}
            ids = frozenset(f"{suites.shown(self.suite.path)}::{each}" for each in chosen)
            options = _options(self.config, None if everything else ids)
            report = waited_for(suites.run([self.suite], _config(), options))
            self._results = {each.name: each for each in report.results}
        return self._results[name]


class PipelineTest(pytest.Item):
    """Represents one test of a pipeline."""

    def runtest(self) -> None:
        """Fail where the test did not pass."""
        assert isinstance(self.parent, PipelineTests)
        result = self.parent.result_of(self.name)
        if result.verdict != "passed":
            raise _NotPassed(result.message)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any, **__: Any) -> str:
        """Say what is wrong, without a traceback: the code that it would show is Loom's."""
        from loom_common.text import words_of

        return words_of(excinfo.value)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the test stands."""
        assert isinstance(self.parent, PipelineTests)
        cases = {case.name: case for case in self.parent.suite.suite.tests}
        line = self.parent.suite.line_of(cases[self.name])
        return self.path, None if line is None else line - 1, self.name


class _NotPassed(Exception):
    """Reports a test that did not pass."""


@pytest.fixture
def loom_pipeline(request: pytest.FixtureRequest) -> Callable[[str], PipelineUnderTest]:
    """Give a function of a pipeline's file or name, which returns the pipeline to be run over records. The answers of
    models are recorded in `cassettes/` beside the test module, by its name."""
    from loom.testing.fixtures.pipeline_under_test import PipelineUnderTest, pipeline_file

    module, config = request.path, _config()

    def opened(target: str) -> PipelineUnderTest:
        cassette = module.parent / "cassettes" / f"{module.stem}.json"
        path = pipeline_file(target, config, module.parent)
        return PipelineUnderTest(path, cassette, _options(request.config, None), config)

    return opened


@pytest.fixture
def loom_tests(loom_pipeline: Callable[[str], PipelineUnderTest]) -> Callable[..., Report]:
    """Give a function of a pipeline's file or name, which runs the pipeline's own tests and returns the report:
    `assert loom_tests("reviews").exit_code == 0`."""

    def ran(target: str, filter: str | None = None) -> Report:  # noqa: A002 - as the option is named
        return loom_pipeline(target).run_tests(filter)

    return ran


def _config() -> LoomConfig:
    from loom.project.config import LoomConfig

    return LoomConfig.load()


def _options(config: pytest.Config, ids: frozenset[str] | None) -> Options:
    from loom.testing.running.options import Options

    return Options(
        live=config.getoption("--loom-live"),
        update=config.getoption("--loom-update"),
        budget=config.getoption("--loom-budget"),
        failed=ids,
    )
