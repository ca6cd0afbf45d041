"""Says why no test is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from loom.testing.running.options import Options

_NEAR = 0.6
_MOST = 3


def words(names: Sequence[str], options: Options) -> str:
    """Return a sentence that says why the options choose none of the tests with these names."""
    if options.failed is not None and not options.failed:
        return "No test failed when the tests ran last: `loom test` runs all of them."
    among = "of those that failed last" if options.failed is not None else f"of {len(names):,}"
    if options.filter is None:
        return "None of the tests that failed last is here: `loom test` runs all of them."
    near = " or ".join(f"'{each}'" for each in nearest(options.filter, names))
    hint = f": did you mean {near}?" if near else "; `loom test` runs all of them."
    return f"No test {among} has '{options.filter}' in its name or its file's{hint}"


def nearest(text: str, names: Sequence[str]) -> list[str]:
    """Return the names that hold something like the text, the nearest first, and no more than a few."""
    likely = {name: _likeness(text.casefold(), name.casefold()) for name in names}
    return sorted((name for name in likely if likely[name] >= _NEAR), key=lambda name: -likely[name])[:_MOST]


def _likeness(text: str, name: str) -> float:
    """Return how like the text the likest part of a name is that has as many words."""
    parts, size = name.split(), max(1, len(text.split()))
    places = range(max(1, len(parts) - size + 1))
    return max(SequenceMatcher(None, text, " ".join(parts[place : place + size])).ratio() for place in places)
