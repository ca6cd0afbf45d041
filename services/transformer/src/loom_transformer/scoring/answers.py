"""Turns what the user's code returned or raised into an output, or into the error of its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from loom_common.domain.json_values.plain_values import NoPlainValue, plain
from loom_common.domain.marks import TIMEOUT
from loom_common.errors import PermanentError, RecordError, TransientError
from loom_common.text import named

if TYPE_CHECKING:
    from loom_ai.answers.shape import Shape


def late(name: str, seconds: float) -> RecordError:
    """Return the error of a record on which the function did not come back."""
    return RecordError(f"{name} did not come back within {seconds:g} s; see `timeouts.record`", code=TIMEOUT)


def output_of(value: Any, name: str, shape: Shape | None) -> dict[str, Any]:
    """Convert what a function returned to JSON values (see `plain_values`). Raises `RecordError`, which names the field
    and its type where a value has no JSON form."""
    if not isinstance(value, Mapping):
        raise RecordError(f"{name} returned {type(value).__name__}, not a dict", code="transform_error")
    try:
        output: dict[str, Any] = plain(value)
    except NoPlainValue as error:
        raise RecordError(f"{name} returned what is no JSON: {error}", code="transform_error") from error
    if shape is not None:
        shape.check(output)
    return output


def at_fault(error: BaseException, name: str) -> RecordError:
    """Return the record's error for what a function raised. Loom's own verdicts about more than a record go on
    upwards."""
    if isinstance(error, RecordError):
        return error
    if isinstance(error, TransientError | PermanentError):
        raise error
    return RecordError(f"{name} raised {named(error)}", code="transform_error")


def one_for_each(found: Any, texts: Sequence[str], name: str) -> Sequence[Any] | RecordError:
    """Return what a scorer gave, or the error of a call that did not give an output for each text."""
    if isinstance(found, str | bytes) or not hasattr(found, "__len__") or not hasattr(found, "__iter__"):
        words = f"{name}.score() returned {type(found).__name__}, not a list with an output for each text"
        return RecordError(words, code="transform_error")
    if len(found) != len(texts):
        words = f"{name}.score() returned {len(found)} outputs for {len(texts)} texts"
        return RecordError(words, code="transform_error")
    return list(found)
