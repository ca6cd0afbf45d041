"""Validates values against JSON Schemas with a time limit.

The pipeline supplies the schema, and anyone the value. Patterns, unique items and references can make a validation run
practically without end. Here every keyword checks the clock, and a validation that takes too long is an error of its
record."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, cast

from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators
from referencing.jsonschema import EMPTY_REGISTRY

from loom_common.domain.json_values.patterns import pattern_of
from loom_common.domain.marks import TIMEOUT
from loom_common.errors import RecordError

CHECK_SECONDS = 2.0
"""Holds the seconds that one validation may take."""

Keyword = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]


class SchemaCheck:
    """Checks values against a JSON Schema, which is compiled once. A `$ref` must point into the schema; nothing is
    fetched."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        # The `$schema` at the top was checked; inside the schema it would select one of the library's own validators.
        self._deadline = _Deadline()
        self._validator: Any = _Validator(
            _without_dialect(schema), registry=EMPTY_REGISTRY, format_checker=self._deadline
        )
        self._deadline.root = self._validator._resolver

    def misfits(self, value: Any) -> Iterator[ValidationError]:
        """Yield what is wrong with `value`, one after the other, as the check comes to it.

        Raises `RecordError` where the check takes too long (code `timeout`) or the schema refers to itself without end
        (code `invalid_output`)."""
        ends = time.monotonic() + CHECK_SECONDS
        misfits = self._validator.iter_errors(value)
        try:
            while True:
                self._deadline.set(ends)  # who asks for the next one may have begun another check meanwhile
                if (misfit := next(misfits, None)) is None:
                    return
                yield misfit
        except RecursionError as error:
            raise RecordError(
                "The check against the declared shape does not end: it refers to itself", code="invalid_output"
            ) from error


class _Deadline(FormatChecker):
    """Brings the time at which one check ends to each of its keywords, and keeps the validators of a schema's parts,
    because the library hands a format checker on to every one of these. It knows no format, so that none is checked."""

    def __init__(self) -> None:
        super().__init__(formats=())
        self.root: Any = None
        """Resolves references from the top of the schema."""
        self.parts: dict[int, Any] = {}
        """Holds the validators of parts that are reached without a reference, by the part's identity. They hold the
        parts, so that none of these identities is given to another object."""
        self._of_thread = threading.local()

    def set(self, ends: float) -> None:
        """Say when the check ends that goes on now in this thread."""
        self._of_thread.ends = ends

    @property
    def passed(self) -> bool:
        """Tell whether the check in this thread takes too long."""
        ends: float = self._of_thread.ends
        return time.monotonic() > ends


def _without_dialect(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        return {name: _without_dialect(each) for name, each in schema.items() if name != "$schema"}
    return [_without_dialect(each) for each in schema] if isinstance(schema, list) else schema


def _timed(check: Keyword) -> Keyword:
    def checked(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterable[ValidationError]:
        if validator.format_checker.passed:
            words = f"The check against the declared shape took longer than {CHECK_SECONDS:g} s"
            raise RecordError(words, code=TIMEOUT)
        return check(validator, wanted, instance, schema) or ()

    return checked


def _pattern(validator: Any, wanted: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not _matches(wanted, instance):
        yield ValidationError(f"{instance!r} does not match {wanted!r}")


def _pattern_properties(
    validator: Any, wanted: Mapping[str, Any], instance: Any, _schema: Any
) -> Iterator[ValidationError]:
    if validator.is_type(instance, "object"):
        for pattern, inner in wanted.items():
            for name, value in instance.items():
                if _matches(pattern, name):
                    yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, wanted: Any, instance: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "object"):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extra = [name for name in instance if name not in named and not any(_matches(each, name) for each in patterns)]
    if validator.is_type(wanted, "object"):
        for name in extra:
            yield from validator.descend(instance[name], wanted, path=name)
    elif not wanted and extra:
        shown = ", ".join(repr(each) for each in sorted(extra, key=str))
        verb = "was" if len(extra) == 1 else "were"
        yield ValidationError(f"Additional properties are not allowed ({shown} {verb} unexpected)")


def _unique_items(validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """Check uniqueness in one pass, because comparing all pairs takes hours for a long list."""
    if wanted and validator.is_type(instance, "array") and len({_identity(each) for each in instance}) < len(instance):
        yield ValidationError(f"{instance!r} has non-unique elements")


def _multiple_of(validator: Any, wanted: float, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """Check with the digits that both numbers are written with, because 19.99 / 0.01 is not whole in 64-bit numbers."""
    if validator.is_type(instance, "number") and (Fraction(repr(instance)) / Fraction(repr(wanted))).denominator != 1:
        yield ValidationError(f"{instance!r} is not a multiple of {wanted!r}")


def _identity(value: Any) -> str:
    """Return a text that is equal for equal JSON values: 1 equals 1.0 and differs from true."""

    def plain(part: Any) -> Any:
        if isinstance(part, float) and part.is_integer():
            return int(part)
        if isinstance(part, dict):
            return {name: plain(each) for name, each in part.items()}
        return [plain(each) for each in part] if isinstance(part, list) else part

    return json.dumps(plain(value), sort_keys=True)


def _matches(pattern: str, text: str) -> bool:
    try:
        return pattern_of(pattern).found_in(text)
    except ValueError as error:
        words = f"The declared shape has a pattern that is no regular expression ({pattern!r}: {error})"
        raise RecordError(words, code="invalid_output") from error


_OURS: dict[str, Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
    "multipleOf": _multiple_of,
}
_Validator = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {name: _timed(cast("Keyword", _OURS.get(name, check))) for name, check in Draft202012Validator.VALIDATORS.items()},
)
_evolved = _Validator.evolve
_descended = _Validator.descend


def _evolved_once(validator: Any, **changes: Any) -> Any:
    """Return the validator of a part of a schema. The library makes it anew for each value that it checks, which takes
    longer than the check."""
    deadline = validator.format_checker
    if changes.get("_resolver") is not deadline.root:
        return _evolved(validator, **changes)
    part = changes["schema"]
    known = deadline.parts.get(id(part))
    if known is None:
        known = deadline.parts[id(part)] = _evolved(validator, **changes)
    return known


def _descended_once(
    validator: Any, instance: Any, schema: Any, path: Any = None, schema_path: Any = None, resolver: Any = None
) -> Iterator[ValidationError]:
    """Yield what is wrong with a value by a part of a schema. The library finds out anew for each value where the
    references of the part lead, and which of its keywords are known."""
    deadline = validator.format_checker
    inside = resolver is None and validator._resolver is deadline.root
    if not inside or (known := deadline.parts.get(id(schema))) is None:
        yield from _descended(validator, instance, schema, path, schema_path, resolver)
        return
    for error in known.iter_errors(instance):
        if path is not None:
            error.path.appendleft(path)
        if schema_path is not None:
            error.schema_path.appendleft(schema_path)
        yield error


_Validator.evolve = _evolved_once
_Validator.descend = _descended_once
