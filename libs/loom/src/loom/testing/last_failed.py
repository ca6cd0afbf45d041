"""Remembers which tests failed last, for `loom test --failed`."""

from __future__ import annotations

import json
from pathlib import Path

from loom.project.config import LoomConfig
from loom.testing.outcomes import Report, Verdict
from loom_common.errors import ConfigurationError


def failed(config: LoomConfig) -> frozenset[str]:
    """Return the ids of the tests that did not pass when they ran last. What cannot be read names none."""
    try:
        return frozenset(map(str, json.loads(_file(config).read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError):
        return frozenset()


def remember(config: LoomConfig, report: Report) -> None:
    """Enter what became of the tests that ran. Raises `ConfigurationError` where it cannot be written."""
    ran = {each.id for each in report.results}
    still = {each.id for each in report.results if each.verdict is not Verdict.PASSED}
    file = _file(config)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(sorted(failed(config) - ran | still), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}.") from error


def _file(config: LoomConfig) -> Path:
    return config.project / ".loom" / "tests" / "failed.json"
