"""Compares one record with the expectation of a unit test."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loom.testing.definition.expectations import Kept, UnitExpectation
from loom.testing.outcomes import Failure
from loom_common.domain.json_values.patterns import pattern_of
from loom_common.domain.json_values.schema_check import SchemaCheck
from loom_common.errors import RecordError

_LONGEST = 200
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """Says what became of one record."""

    passed: bool
    output: Mapping[str, Any] | None
    scores: Mapping[str, float | None]
    stage: str | None = None
    """The stage that kept it back."""
    code: str | None = None
    reason: str | None = None


def failures(expected: UnitExpectation, outcome: RecordOutcome) -> list[Failure]:
    """Return every expectation that does not hold, without `semantic`, which is judged."""
    return [
        *_gate(expected, outcome),
        *([] if expected.kept is None else _kept(expected.kept, outcome)),
        *_outputs(expected, outcome),
        *_scores(expected, outcome),
    ]


def shown(value: Any) -> str:
    """Write a value as JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def field_of(output: Mapping[str, Any], name: str) -> Any:
    """Return a field of the output; `a.b` is the field `b` of the field `a`, unless a field has that name. Raises
    `KeyError`."""
    if name in output:
        return output[name]
    value: Any = output
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise KeyError(name)
        value = value[part]
    return value


def _gate(expected: UnitExpectation, outcome: RecordOutcome) -> Iterator[Failure]:
    if expected.gate is None:
        return
    found = "passes" if outcome.passed else "fails"
    if expected.gate != found:
        yield Failure("gate", expected.gate, found, outcome.reason)


def _kept(expected: Kept, outcome: RecordOutcome) -> Iterator[Failure]:
    if outcome.passed:
        yield Failure("kept", "a record that is kept back", "a record that passes")
        return
    if expected.stage is not None and outcome.stage != expected.stage.value:
        yield Failure("kept.stage", expected.stage.value, str(outcome.stage), outcome.reason)
    if expected.code is not None and outcome.code != expected.code:
        yield Failure("kept.code", expected.code, str(outcome.code), outcome.reason)
    if expected.reason is not None and not _found(expected.reason, outcome.reason or ""):
        yield Failure("kept.reason", f"a match of {expected.reason}", shown(outcome.reason))


def _outputs(expected: UnitExpectation, outcome: RecordOutcome) -> Iterator[Failure]:
    wanted = expected.exact or expected.schema_ or expected.regex or expected.contains or expected.range
    if not wanted:
        return
    if outcome.output is None:
        yield Failure("output", "an output", "none", outcome.reason)
        return
    output = outcome.output
    for name, value in expected.exact.items():
        found = _field(output, name)
        if found is _NOTHING or not _equal(found, value):
            yield Failure(f"exact.{name}", shown(value), _shown(found))
    if expected.schema_ is not None:
        yield from _misfits(expected.schema_, output)
    yield from _texts(expected, output)
    for name, bounds in expected.range.items():
        found = _field(output, name)
        if isinstance(found, bool) or not isinstance(found, int | float) or not bounds.holds(float(found)):
            yield Failure(f"range.{name}", str(bounds), _shown(found))


def _texts(expected: UnitExpectation, output: Mapping[str, Any]) -> Iterator[Failure]:
    for name, pattern in expected.regex.items():
        found = _field(output, name)
        if found is _NOTHING or not _found(pattern, _text(found)):
            yield Failure(f"regex.{name}", f"a match of {pattern}", _shown(found))
    for name, texts in expected.contains.items():
        found = _field(output, name)
        text = "" if found is _NOTHING else _text(found).casefold()
        if lacking := [each for each in texts if each.casefold() not in text]:
            yield Failure(f"contains.{name}", " and ".join(map(shown, lacking)), _shown(found))


def _misfits(schema: Mapping[str, Any], output: Mapping[str, Any]) -> Iterator[Failure]:
    try:
        first = next(iter(SchemaCheck(schema).misfits(dict(output))), None)
    except RecordError as error:
        yield Failure("schema", "an output that can be checked", str(error))
        return
    if first is not None:
        at = ".".join(map(str, first.absolute_path))
        yield Failure("schema", "an output that fits the schema", f"{f'at {at}: ' if at else ''}{first.message}")


def _scores(expected: UnitExpectation, outcome: RecordOutcome) -> Iterator[Failure]:
    for name, bounds in expected.scores.items():
        score = outcome.scores.get(name)
        if score is None:
            known = ", ".join(outcome.scores) or "none"
            yield Failure(f"scores.{name}", str(bounds), "no score", outcome.reason or f"scores were given by: {known}")
        elif not bounds.holds(score):
            yield Failure(f"scores.{name}", str(bounds), f"{score:g}")


def _equal(found: Any, value: Any) -> bool:
    """Compare as JSON does: 1 equals 1.0, and neither equals true."""
    if isinstance(found, bool) or isinstance(value, bool):
        return found is value
    if isinstance(found, Mapping) and isinstance(value, Mapping):
        return found.keys() == value.keys() and all(_equal(found[key], value[key]) for key in found)
    if isinstance(found, list) and isinstance(value, list):
        return len(found) == len(value) and all(map(_equal, found, value))
    return bool(found == value)


def _field(output: Mapping[str, Any], name: str) -> Any:
    try:
        return field_of(output, name)
    except KeyError:
        return _NOTHING


def _shown(value: Any) -> str:
    return "no such field" if value is _NOTHING else shown(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _found(pattern: str, text: str) -> bool:
    try:
        return pattern_of(pattern).found_in(text)
    except RecordError:  # it took too long, so that it found nothing in its time
        return False
