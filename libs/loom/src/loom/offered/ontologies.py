"""Lists and checks ontologies: Loom's own, those of packages, and those of a project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loom.project import yaml_positions
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.ontology.checking import ontology_mistakes
from loom_common.domain.ontology.extending import extended, version_of
from loom_common.domain.ontology.model import Ontology
from loom_common.errors import ConfigurationError, InvalidDefinition, Problem
from loom_common.ontologies.find import listed, resolved, written


@dataclass(frozen=True, slots=True)
class ListedOntology(Shown):
    """Describes an ontology, and where it comes from."""

    name: str
    version: str
    content: str
    """The beginning of the hash of its content, with all that it extends. Runs name it in their lineage."""
    extends: tuple[str, ...]
    concepts: int
    metrics: int
    rules: int
    place: str
    description: str
    problem: str | None = None
    """Says why it cannot be used; None where it can."""


def list_ontologies(folders: Sequence[Path]) -> list[ListedOntology]:
    """List the ontologies that a pipeline in these folders may name."""
    return [_listed(name, place, folders) for name, place in listed(folders)]


def _listed(name: str, place: str, folders: Sequence[Path]) -> ListedOntology:
    try:
        own, whole = written(name, folders).ontology, resolved(name, folders)
    except ConfigurationError as error:
        return ListedOntology(name, "", "", (), 0, 0, 0, place, "", str(error))
    return ListedOntology(
        name,
        own.version,
        version_of(whole),
        tuple(own.extends),
        len(whole.concepts),
        len(whole.metrics),
        len(whole.quality_rules),
        place,
        own.description,
    )


def file_problems(path: Path, folders: Sequence[Path]) -> list[Problem]:
    """Return every mistake in the file of an ontology, with its place; none where it can be used."""
    from loom_common.domain.definition.reader import validated

    try:
        document = yaml_positions.parse(yaml_positions.read_text(path, str(path)), str(path))
        if document.problems:
            return list(document.problems)
        own = validated(Ontology, document.data, document.locate)
    except InvalidDefinition as error:
        return list(error.problems)
    try:
        whole = extended(own, lambda name: own if name == own.name else written(name, folders).ontology)
    except ConfigurationError as error:
        return [document.problem(("extends",), ", ".join(own.extends), str(error).rstrip("."))]
    problems = []
    for each in ontology_mistakes(whole):
        places = [at for at, one in enumerate(getattr(own, each.section)) if one.name == each.name]
        where: tuple[str | int, ...] = (each.section, places[0], each.key) if places else ("extends",)
        inherited = "" if places else f"{each.section}.{each.name}.{each.key}: "
        problems.append(document.problem(where, f"{inherited}{each.found}", each.expected))
    if path.stem != own.name:
        expected = f"`{path.stem}`, as the file is called, by which pipelines find it"
        problems.append(document.problem(("name",), own.name, expected))
    return [replace(each, file=str(path)) if each.file is None else each for each in problems]


def as_shown(ontology: Ontology) -> dict[str, Any]:
    """Return an ontology as a document, without what it does not say."""
    return {**ontology.model_dump(mode="json", exclude_defaults=True), "version": ontology.version}
