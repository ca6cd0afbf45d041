"""Computes formulas and rules over the fields that stand for concepts, by the sandboxed expressions of steps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from loom_common.domain.ontology.matching import columns_by_concept, matches
from loom_common.domain.ontology.model import Metric, Ontology
from loom_common.domain.quality.check import Action
from loom_common.domain.steps.expressions import Expression, expression
from loom_common.errors import RecordError

AS_COMPUTED = "_as_computed"
"""Ends the name of the rule that a field holds what its metric's formula comes to."""
_WHOLE_NUMBER = re.compile(r"('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")|(?<![\w.])(\d+)(?![\w.])")
_NUMBER = re.compile(r"\s*[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?\s*")


def read_formula(text: str) -> Expression:
    """Read a formula, whose numbers are all decimals, as are those of records: an expression computes nothing from
    numbers of two kinds. Raises `ExpressionMistake`."""
    return expression(_WHOLE_NUMBER.sub(lambda each: each[1] or f"{each[2]}.0", text))


@dataclass(frozen=True, slots=True)
class Rule:
    """Describes a rule that records are held to."""

    name: str
    expression: str
    action: Action
    max_share: float | None
    description: str
    metric: Metric | None = None
    """The metric with whose formula a field is compared; None for a rule that the ontology states."""


def rules_of(ontology: Ontology) -> dict[str, Rule]:
    """Return the rules of an ontology by their names: those that it states, and one for each metric that a field may
    hold."""
    rules = [
        Rule(each.name, each.expression, each.action, each.max_share, each.description)
        for each in ontology.quality_rules
    ]
    for metric in ontology.metrics:
        if metric.indicators:
            said = f"{metric.name} is what its formula comes to"
            rules.append(Rule(f"{metric.name}{AS_COMPUTED}", metric.formula, "warn", None, said, metric))
    return {each.name: each for each in rules}


class Domain:
    """Reads records as an ontology understands them."""

    def __init__(self, ontology: Ontology, columns: Mapping[str, str] | None = None) -> None:
        """`columns` names fields by their concepts; all others are found by their names."""
        self.ontology = ontology
        self.rules = rules_of(ontology)
        self._metrics = {each.name: each for each in ontology.metrics}
        self._numbers = {each.name for each in ontology.concepts if each.is_number} | set(self._metrics)
        self._given = dict(columns or {})
        self._found = lru_cache(maxsize=64)(self._columns)

    def columns(self, fields: Mapping[str, Any]) -> Mapping[str, str]:
        """Return by concept the field of a record that stands for it."""
        return self._found(tuple(fields))

    def applies(self, rule: Rule, fields: Mapping[str, Any]) -> bool:
        """Tell whether a record has a field for every concept that a rule names, and for the metric that it is
        about."""
        columns = self.columns(fields)
        of_metric = rule.metric is None or rule.metric.name in columns
        return of_metric and self._has_all(rule.expression, columns)

    def computes(self, metric: Metric, fields: Mapping[str, Any]) -> bool:
        """Tell whether a record has a field for every concept of a metric's formula."""
        return self._has_all(metric.formula, self.columns(fields))

    def _has_all(self, formula: str, columns: Mapping[str, str]) -> bool:
        """Tell whether there are fields for all that a formula names; metrics that are no fields are computed."""
        waiting = list(read_formula(formula).names)
        while waiting:
            name = waiting.pop()
            if name in columns:
                continue
            if name not in self._metrics:
                return False
            waiting += read_formula(self._metrics[name].formula).names
        return True

    def miss(self, rule: Rule, fields: Mapping[str, Any]) -> str | None:
        """Return why a record misses a rule; None where it holds, or lacks a concept that the rule names."""
        values = self._values(rule.expression, fields)
        if values is None:
            return None
        if rule.metric is not None:
            return self._differs(rule.metric, values, fields)
        try:
            if read_formula(rule.expression).holds(values):
                return None
        except RecordError as error:
            return str(error)
        shown = ", ".join(f"{name} is {_shown(value)}" for name, value in values.items())
        return f"`{rule.expression}` is not true: {shown}"

    def value(self, metric: Metric, fields: Mapping[str, Any]) -> float | None:
        """Return what a metric comes to for a record; None where the record lacks a concept of its formula, or nothing
        can be computed, as where it divides by zero."""
        values = self._values(metric.formula, fields)
        if values is None:
            return None
        try:
            found = read_formula(metric.formula).value(values)
        except RecordError:
            return None
        number = _number(found)
        return None if number is None or not math.isfinite(number) else number

    def _columns(self, names: tuple[str, ...]) -> Mapping[str, str]:
        free = [name for name in names if name not in self._given.values()]
        given = {concept: column for concept, column in self._given.items() if column in names}
        return {**columns_by_concept(matches(free, self.ontology)), **given}

    def _values(self, text: str, fields: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the values of what a formula names: of the fields, and of metrics that are no fields, which are
        computed."""
        columns, values = self.columns(fields), dict[str, Any]()
        for name in sorted(read_formula(text).names):
            column = columns.get(name)
            if column is None and name in self._metrics:
                value: Any = self.value(self._metrics[name], fields)
            else:
                value = None if column is None else fields.get(column)
            value = _number(value) if name in self._numbers or not isinstance(value, str | bool) else value
            if value is None or value == "":
                return None
            values[name] = value
        return values

    def _differs(self, metric: Metric, values: Mapping[str, Any], fields: Mapping[str, Any]) -> str | None:
        column = self.columns(fields).get(metric.name)
        held = None if column is None else _number(fields.get(column))
        computed = self.value(metric, fields)
        if held is None or computed is None or math.isclose(held, computed, rel_tol=metric.tolerance, abs_tol=1e-9):
            return None
        shown = ", ".join(f"{name} is {_shown(value)}" for name, value in values.items())
        return f"it is {_shown(held)}, and `{metric.formula}` comes to {_shown(computed)}: {shown}"


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e300 else None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    return None


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)[:60]
