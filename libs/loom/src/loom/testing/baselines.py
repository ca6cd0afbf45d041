"""Keeps the distributions that later ones are compared with, in a file beside the tests."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loom_common.errors import ConfigurationError
from loom_common.statistics.spread import thinned

MOST_VALUES = 1_000
"""The most numbers that stand for a distribution: evenly spaced ones among all in their order."""
_DIGITS = 9


@dataclass(slots=True)
class Baselines:
    """Holds the baselines of one file of tests, by test and field: numbers, or counts of categories."""

    path: Path
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    changed: bool = False

    @classmethod
    def load(cls, path: Path) -> Baselines:
        """Read the file; without one there are no baselines. Raises `ConfigurationError` where it cannot be read."""
        if not path.exists():
            return cls(path)
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if not all(isinstance(fields, dict) for fields in kept.values()):
                raise ValueError("it does not hold fields by test")
        except (OSError, ValueError, AttributeError) as error:
            raise ConfigurationError(
                f"{path} is no file of baselines ({error}). Restore it from version control, or remove it and store it "
                "again with `loom test --update`."
            ) from error
        return cls(path, kept)

    def of(self, test: str, name: str) -> list[float] | dict[str, int] | None:
        """Return the baseline of a field: numbers, or counts by category; None where there is none."""
        stored = self.kept.get(test, {}).get(name)
        if not isinstance(stored, dict):
            return None
        if "numbers" in stored:
            return [float(each) for each in stored["numbers"]]
        return {str(value): int(count) for value, count in stored.get("counts", {}).items()}

    def keep(self, test: str, name: str, values: list[float] | dict[str, int]) -> None:
        """Store a baseline in the place of the one that is there."""
        if isinstance(values, dict):
            stored: dict[str, Any] = {"counts": dict(sorted(values.items()))}
        else:
            stored = {"numbers": [float(f"{each:.{_DIGITS}g}") for each in thinned(values, MOST_VALUES)]}
        if self.kept.get(test, {}).get(name) != stored:
            self.kept.setdefault(test, {})[name] = stored
            self.changed = True

    def save(self) -> bool:
        """Write the file where something changed, and tell whether it was written. Raises `ConfigurationError`."""
        if not self.changed:
            return False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self.path.with_name(f".{self.path.name}.part")
            part.write_text(
                json.dumps(self.kept, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
            )
            part.replace(self.path)
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written: {error.strerror}.") from error
        self.changed = False
        return True
