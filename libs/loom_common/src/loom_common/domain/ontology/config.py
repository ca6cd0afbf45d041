"""Defines the `ontology` section of a pipeline file."""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from loom_common.domain.section import Mistake, Section, items, mistake, said


class OntologyConfig(Section):
    """Says which ontology a pipeline's records are read by. The short form is its name."""

    name: str = Field(
        min_length=1, description="One of Loom's own, of a package, or `ontologies/NAME.yaml` beside the pipeline."
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Fields by the concept that each stands for, where their names do not say it. `loom ontology map` "
        "shows what they say.",
    )
    quality_rules: bool = Field(True, description="Whether the ontology's rules are quality checks of the records.")

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"name": written} if isinstance(written, str) else written


def without_ontology(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield the parts of a definition that need an ontology, where it has none."""
    if said(written, "ontology") is not None:
        return
    transform = said(written, "transform")
    steps = items(transform, "steps")
    places = [(("transform", "steps", at, "type"), step) for at, step in enumerate(steps)]
    for place, each in [(("transform", "type"), transform), *places]:
        if said(each, "type") == "metrics":
            expected = "`ontology: NAME` in the pipeline, whose metrics these are"
            yield mistake(place, "no_ontology", expected, "metrics")
    for section in ("extract", "load"):
        for at, check in enumerate(items(said(written, section), "quality_checks")):
            if said(check, "check") == "ontology":
                expected = "`ontology: NAME` in the pipeline, whose rule this is"
                yield mistake((section, "quality_checks", at, "check"), "no_ontology", expected, said(check, "rule"))
