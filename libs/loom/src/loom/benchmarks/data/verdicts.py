"""Reads labels that are verdicts of people: an output is good enough, or it is not."""

from __future__ import annotations

from typing import Any

from loom.benchmarks.data.target import class_of
from loom_common.errors import ConfigurationError

PASS, FAIL = "pass", "fail"
_PASS = frozenset({"pass", "passed", "good", "yes", "true", "1", "correct", "right", "accept", "accepted", "ok"})
_FAIL = frozenset({"fail", "failed", "bad", "no", "false", "0", "incorrect", "wrong", "reject", "rejected"})


def verdict_of(label: Any, pass_label: str | None = None) -> str | None:
    """Return the verdict that a label is; None where it is none. With `pass_label`, that label passes and all others
    fail."""
    text = class_of(label)
    if pass_label is not None:
        return PASS if text == pass_label else FAIL
    word = text.casefold()
    return PASS if word in _PASS else FAIL if word in _FAIL else None


def no_verdict(column: str, label: Any) -> ConfigurationError:
    """Return the error for a label that is neither a verdict nor a number."""
    return ConfigurationError(
        f"The label {label!r} in the column '{column}' is no verdict (pass or fail, yes or no, 1 or 0) and no number. "
        "Say which label means a pass with --pass-label, or measure the outputs themselves with `loom bench run`."
    )
