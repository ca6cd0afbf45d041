"""Asks a model which concepts fields stand for. It is a run like any other: with a budget, a journal and retries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loom.api import Loom
from loom.project.config import LoomConfig
from loom.sdk.pipeline import Pipeline
from loom_common.domain.ontology.matching import Match
from loom_common.domain.ontology.model import Concept, Ontology
from loom_common.domain.ontology.prompt_text import prompt_text
from loom_common.domain.schema.inference import ColumnProfile
from loom_common.errors import ConfigurationError

NONE = "none"
PIPELINE = "ontology_map"
_PROMPT = """Which concept of the ontology does a field of a data set stand for?

{{ params.ontology }}

The field is called {{ input.column }}, is of type {{ input.type }}, and has values such as:
{% for each in input.examples %}- {{ each }}
{% endfor %}
Answer with the name of a concept or a metric, or with "none" where none fits, and say how confident you are."""


async def ask(
    fields: Mapping[str, ColumnProfile], ontology: Ontology, config: LoomConfig, model: str, budget: float
) -> tuple[dict[str, Match], float]:
    """Return what a model says of fields, without those of which it says nothing, and what that cost in USD. Raises
    `ConfigurationError` where the run fails."""
    known: dict[str, Any] = {each.name: each for each in (*ontology.concepts, *ontology.metrics)}
    output = {
        "concept": {"enum": [*known, NONE]},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "reason": "string",
    }
    pipeline = Pipeline(
        name=PIPELINE,
        description="Asks which concepts fields stand for (loom ontology map).",
        params={"ontology": {"type": "string"}},
        extract={"source": "fields.jsonl", "key": "column"},
        transform={"type": "ai", "model": model, "prompt": _PROMPT, "output": output, "temperature": 0},
        load={"destination": "concepts.jsonl"},
    )
    records = [
        {"column": name, "type": str(profile.column), "examples": list(profile.examples)}
        for name, profile in fields.items()
    ]
    result = await Loom.of(config).run_pipeline(
        pipeline, {"ontology": prompt_text(ontology)}, records=records, collect=True, budget=budget
    )
    if result.status not in ("succeeded", "partial"):
        raise ConfigurationError(f"The model could not be asked: {result.report.error or result.status}.")
    found = {}
    for row in result.records():
        concept = row["concept"]
        if concept == NONE:
            found[row["column"]] = Match(row["column"], None, 0.0, row["reason"], by=model)
            continue
        meant = known[concept]
        role, kind = (meant.typical_role, meant.type) if isinstance(meant, Concept) else ("measure", "number")
        sure = round(float(row["confidence"]), 2)
        found[row["column"]] = Match(row["column"], concept, sure, row["reason"], role, kind, by=model)
    return found, result.cost_total
