"""Writes an ontology small, for prompts: what a model has to know of the domain, in a line for each term."""

from __future__ import annotations

from loom_common.domain.ontology.model import Concept, Metric, Ontology

LONGEST = 6_000
"""The number of characters that the text has at most. Concepts come first, those that the ontology adds itself before
those that it has from others."""


def prompt_text(ontology: Ontology) -> str:
    """Return what `{{ ontology }}` shows in a prompt."""
    head = f"{ontology.name}: {ontology.description}".rstrip(": ")
    lines = [head, "Concepts:", *(_concept(each) for each in reversed(ontology.concepts))]
    if ontology.metrics:
        lines += ["Metrics:", *(_metric(each) for each in ontology.metrics)]
    if ontology.quality_rules:
        lines += ["Rules:", *(f"- {each.expression}" for each in ontology.quality_rules)]
    text, left = "", len(lines)
    for line in lines:
        if len(text) + len(line) > LONGEST:
            return f"{text}... and {left} lines more"
        text, left = f"{text}{line}\n", left - 1
    return text.rstrip("\n")


def _concept(concept: Concept) -> str:
    said = ", ".join(each for each in (concept.typical_role, concept.type, concept.unit) if each)
    added = {"semi_additive": "not added up over time", "non_additive": "never added up"}
    behaviour = added.get(concept.temporal_behavior or "", "")
    said = "; ".join(each for each in (said, behaviour) if each)
    return f"- {concept.name}{f' ({said})' if said else ''}{f': {concept.description}' if concept.description else ''}"


def _metric(metric: Metric) -> str:
    unit = f" in {metric.unit}" if metric.unit else ""
    return f"- {metric.name} = {metric.formula}{unit}{f': {metric.description}' if metric.description else ''}"
