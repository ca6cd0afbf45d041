"""Finds what is wrong with an ontology that was put together: formulas that cannot be read or computed, and names of
concepts that it does not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from loom_common.domain.ontology.formulas import read_formula
from loom_common.domain.ontology.model import Metric, Ontology
from loom_common.domain.steps.expressions import ExpressionMistake
from loom_common.domain.values.near import closest
from loom_common.errors import RecordError


@dataclass(frozen=True, slots=True)
class OntologyMistake:
    """Describes a mistake: the list and the name where it is, the key, and what was found and expected there."""

    section: str
    name: str
    key: str
    found: str
    expected: str


def ontology_mistakes(ontology: Ontology) -> Iterator[OntologyMistake]:
    """Yield the mistakes in the formulas and rules of an ontology without `extends`."""
    metrics = {each.name: each for each in ontology.metrics}
    names = [*(each.name for each in ontology.concepts), *metrics]
    twice = [each.name for each in ontology.concepts if each.name in metrics]
    for name in twice:
        yield OntologyMistake("metrics", name, "name", name, "a name that no concept has")
    for metric in ontology.metrics:
        yield from _formula(ontology, "metrics", metric.name, "formula", metric.formula, names)
        yield from _required(metric)
    for rule in ontology.quality_rules:
        yield from _formula(ontology, "quality_rules", rule.name, "expression", rule.expression, names, of_rule=True)
    if circle := _circle(metrics):
        yield OntologyMistake(
            "metrics", circle[0], "formula", " -> ".join(circle), "metrics that do not need each other"
        )


def _formula(
    ontology: Ontology, section: str, name: str, key: str, text: str, names: Sequence[str], *, of_rule: bool = False
) -> Iterator[OntologyMistake]:
    try:
        read = read_formula(text)
    except ExpressionMistake as error:
        yield OntologyMistake(section, name, key, text, str(error))
        return
    unknown = sorted(read.names - set(names))
    for each in unknown:
        near = closest(each, names)
        hint = f", such as '{near}'" if near else ""
        yield OntologyMistake(section, name, key, each, f"a concept or a metric of the ontology{hint}")
    if not read.names:
        yield OntologyMistake(section, name, key, text, "a formula that names a concept")
    if unknown or not read.names:
        return
    try:
        value = read.value({each: _example(ontology, each) for each in read.names})
    except RecordError:
        words = "a formula that can be computed from values of these types: numbers from measures, else texts"
        yield OntologyMistake(section, name, key, text, words)
        return
    if of_rule and not isinstance(value, bool):
        yield OntologyMistake(section, name, key, text, "an expression that is true or false")
    if not of_rule and (isinstance(value, bool) or not isinstance(value, int | float)):
        yield OntologyMistake(section, name, key, text, "a formula that comes to a number")


def _example(ontology: Ontology, name: str) -> Any:
    concept = next((each for each in ontology.concepts if each.name == name), None)
    if concept is None or concept.is_number:
        return 2.0
    return True if concept.type == "boolean" else "2024-01-02" if concept.type in ("date", "datetime") else "a text"


def _required(metric: Metric) -> Iterator[OntologyMistake]:
    if not metric.required_concepts:
        return
    try:
        named = read_formula(metric.formula).names
    except ExpressionMistake:
        return
    if set(metric.required_concepts) != named and named:
        expected = f"the concepts that the formula names: {', '.join(sorted(named))}"
        found = ", ".join(metric.required_concepts)
        yield OntologyMistake("metrics", metric.name, "required_concepts", found, expected)


def _circle(metrics: dict[str, Metric]) -> list[str]:
    """Return metrics that need each other, the first one also last; none where there are none."""
    needs: dict[str, list[str]] = {}
    for name, metric in metrics.items():
        try:
            needs[name] = sorted(read_formula(metric.formula).names & set(metrics))
        except ExpressionMistake:
            needs[name] = []
    done = set[str]()

    def search(name: str, way: tuple[str, ...]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for each in needs[name]:
            if found := search(each, (*way, name)):
                return found
        done.add(name)
        return []

    return next((found for name in metrics if (found := search(name, ()))), [])
