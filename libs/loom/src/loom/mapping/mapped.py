"""Maps the fields of a source to the concepts of an ontology: by their names and the types of their values, and by a
model where one is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loom.preflight import source_sample
from loom.project.config import LoomConfig
from loom.project.definition_file import folders_of
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.ontology.extending import version_of
from loom_common.domain.ontology.formulas import Domain
from loom_common.domain.ontology.matching import SURE, Match, matches
from loom_common.domain.ontology.model import Ontology
from loom_common.domain.schema.inference import ColumnProfile, profiled
from loom_common.errors import ConfigurationError
from loom_common.ontologies.find import listed, resolved

BASE = "base"
_NUMBERS = ("integer", "number")


@dataclass(frozen=True, slots=True)
class Mapped(Shown):
    """Says what the fields of a source stand for in an ontology."""

    source: str
    ontology: str
    version: str
    chosen: bool
    """Tells whether the ontology was chosen as the one that fits best, because none was named."""
    columns: Sequence[Match]
    metrics: Sequence[str]
    """Names the metrics that can be computed of these fields."""
    rules: Sequence[str]
    """Names the rules that say something of these fields."""
    cost: float = 0.0
    """Says what a model was paid, in USD."""


async def mapped(
    source: str,
    config: LoomConfig,
    *,
    ontology: str | None = None,
    query: str | None = None,
    model: str | None = None,
    budget: float = 0.5,
    records: int = 200,
) -> Mapped:
    """Map a source that is named on the command line. A `model` is asked about fields whose names do not say for sure
    what they stand for, for at most `budget` USD. Raises `ConfigurationError`, and what reading the source raises."""
    sample = await source_sample.of_source(source, query, config, records)
    if not sample:
        raise ConfigurationError(f"{source} has no records, so that nothing is known of its fields.")
    profiles = profiled(sample)
    kinds = {name: _kind(profile) for name, profile in profiles.items()}
    folders = folders_of(Path.cwd())
    known = resolved(ontology, folders) if ontology else _best(list(profiles), kinds, folders)
    found, cost = matches(profiles, known, kinds), 0.0
    unsure = [each.column for each in found if each.confidence < SURE]
    if model is not None and unsure:
        from loom.mapping.asking import ask

        said, cost = await ask({name: profiles[name] for name in unsure}, known, config, model, budget)
        found = [said.get(each.column, each) for each in found]
    domain = Domain(known, {each.concept: each.column for each in found if each.concept and each.confidence >= SURE})
    fields: Mapping[str, Any] = dict.fromkeys(profiles)
    return Mapped(
        source,
        known.name,
        version_of(known),
        ontology is None,
        found,
        [metric.name for metric in known.metrics if domain.computes(metric, fields)],
        [rule.name for rule in domain.rules.values() if domain.applies(rule, fields)],
        cost,
    )


def _best(columns: Sequence[str], kinds: Mapping[str, str], folders: Sequence[Path]) -> Ontology:
    """Return the ontology to whose own concepts fields fit best; `base` where they fit none."""
    base = resolved(BASE, folders)
    shared = {each.name for each in base.concepts}

    def fit(ontology: Ontology) -> float:
        found = matches(columns, ontology, kinds)
        return sum(each.confidence for each in found if each.confidence >= SURE and each.concept not in shared)

    others = [resolved(name, folders) for name, _ in listed(folders) if name != BASE]
    best = max(others, key=fit, default=base)
    return best if fit(best) else base


def _kind(profile: ColumnProfile) -> str:
    """Return the type of a column's values, as concepts have it; a text of digits is a number, as in CSV files."""
    kind = str(profile.column.format or profile.column.type)
    return "number" if kind in _NUMBERS else kind
