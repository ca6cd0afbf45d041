"""Implements evaluators of text: `exact_match`, `contains` and `regex`."""

from __future__ import annotations

from typing import Any

from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition import evaluators as config
from loom_common.domain.json_values.patterns import pattern_of
from loom_evaluator.evaluators.fields import canonical, output_text, output_value, reference_value, text_of
from loom_evaluator.evaluators.opinion import YES, Opinion, Rule, cannot_score, no


def exact_match(settings: config.ExactMatch) -> Rule:
    """Give 1 where output and reference are equal. Values of two types are equal where their texts are, so that the
    number 5 equals the `5` of a CSV file. Nothing is stripped."""

    def rule(record: TransformedRecord) -> Opinion:
        found = _compared(record, settings.field)
        expected = reference_value(record, settings.reference_field)
        if _equal(found, expected, case_sensitive=settings.case_sensitive):
            return YES
        return no(f"found {_shown(found)}, expected {_shown(expected)}")

    return rule


def contains(settings: config.Contains) -> Rule:
    """Give the share of the texts looked for that stand in the output."""

    def rule(record: TransformedRecord) -> Opinion:
        wanted = list(settings.values)
        if settings.reference_field is not None:
            reference = reference_value(record, settings.reference_field)
            if reference is None:
                raise cannot_score(f"the input field '{settings.reference_field}' is null; expected text to look for")
            wanted.append(text_of(reference))
        text = output_text(record, settings.field)
        missing = [part for part in wanted if not _within(part, text, case_sensitive=settings.case_sensitive)]
        if not missing:
            return YES
        share = (len(wanted) - len(missing)) / len(wanted)
        return Opinion(share, f"not found: {', '.join(map(_shown, missing))}")

    return rule


def regex(settings: config.Regex) -> Rule:
    """Give 1 where the pattern is found anywhere in the output. A search that takes too long is the record's error."""
    pattern = pattern_of(settings.pattern)

    def rule(record: TransformedRecord) -> Opinion:
        text = output_text(record, settings.field)
        return YES if pattern.found_in(text) else no(f"no match for {settings.pattern} in {_shown(text)}")

    return rule


def _compared(record: TransformedRecord, field: str | None) -> Any:
    """Return the named output field, or the only one, else the whole output, in which the order of fields is no
    difference."""
    return canonical(record.result) if field is None and len(record.result) != 1 else output_value(record, field)


def _equal(found: Any, expected: Any, *, case_sensitive: bool) -> bool:
    same_kind = isinstance(found, bool) == isinstance(expected, bool)  # 1 is not true, though Python says so
    if same_kind and found == expected:
        return True
    left, right = canonical(found), canonical(expected)
    return left == right if case_sensitive else left.casefold() == right.casefold()


def _within(part: str, text: str, *, case_sensitive: bool) -> bool:
    return part in text if case_sensitive else part.casefold() in text.casefold()


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 100 else f"{shown[:97]}..."
