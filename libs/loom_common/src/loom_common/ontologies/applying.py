"""Applies an ontology to the pipeline that names it: the ontology travels in the run's plan, as prompts do, and its
rules become quality checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loom_common.domain.ontology.extending import content_of
from loom_common.domain.ontology.formulas import Domain, rules_of
from loom_common.domain.ontology.in_plan import PREFIX, domain_in
from loom_common.domain.ontology.model import Ontology
from loom_common.domain.section import items, said
from loom_common.domain.values.near import closest
from loom_common.errors import ConfigurationError, Problem
from loom_common.ontologies.find import resolved


def named_in(definition: Mapping[str, Any]) -> str | None:
    """Return the name of the ontology that a definition says; None where it says none."""
    written = said(definition, "ontology")
    name = written if isinstance(written, str) else said(written, "name")
    return name if isinstance(name, str) else None


def carried(
    definition: Mapping[str, Any], files: Mapping[str, str], folders: Sequence[Path] = ()
) -> tuple[dict[str, Any], dict[str, str], list[Problem]]:
    """Return a definition and its files with the ontology that it names: its content among the files, and its rules
    among `extract.quality_checks`, unless they stand there already; and what is wrong with it. A file that is there
    already is taken as it is: it came with a run from elsewhere."""
    name, made, texts = named_in(definition), dict(definition), dict(files)
    if name is None:
        return made, texts, []
    key = f"{PREFIX}{name}"
    try:
        if key not in texts:
            texts[key] = content_of(resolved(name, folders))
        domain = domain_in(texts)
    except ConfigurationError as error:
        at = ("ontology",) if isinstance(definition["ontology"], str) else ("ontology", "name")
        return made, texts, [Problem(at, repr(name), f"an ontology that can be used ({str(error).rstrip('.')})")]
    assert domain is not None
    problems = [*_columns(definition, domain.ontology), *_rules(definition, domain)]
    extract = definition.get("extract")
    if isinstance(extract, Mapping) and said(definition["ontology"], "quality_rules") is not False:
        own = items(extract, "quality_checks")
        stated = {said(each, "rule") for each in own if said(each, "check") == "ontology"}
        added = [
            {"check": "ontology", "rule": rule.name, "action": rule.action}
            | ({} if rule.max_share is None else {"max_share": rule.max_share})
            for rule in rules_of(domain.ontology).values()
            if rule.name not in stated
        ]
        made["extract"] = {**extract, "quality_checks": [*own, *added]}
    return made, texts, problems


def _columns(definition: Mapping[str, Any], ontology: Ontology) -> list[Problem]:
    """Return the concepts of `ontology.columns` that the ontology does not have."""
    columns = said(definition["ontology"], "columns")
    known = [each.name for each in (*ontology.concepts, *ontology.metrics)]
    return [
        Problem(
            ("ontology", "columns", str(name)), repr(name), f"a concept of {ontology.name}", closest(str(name), known)
        )
        for name in (columns if isinstance(columns, Mapping) else ())
        if name not in known
    ]


def _rules(definition: Mapping[str, Any], domain: Domain) -> list[Problem]:
    """Return the rules and metrics that the pipeline names, and the ontology does not have."""
    found = list[Problem]()
    for at, each in enumerate(items(said(definition, "extract"), "quality_checks")):
        rule = said(each, "rule")
        if said(each, "check") == "ontology" and isinstance(rule, str) and rule not in domain.rules:
            where = ("extract", "quality_checks", at, "rule")
            expected = f"a rule of the ontology {domain.ontology.name}"
            found.append(Problem(where, repr(rule), expected, closest(rule, domain.rules)))
    metrics = [each.name for each in domain.ontology.metrics]
    transform = said(definition, "transform")
    steps = [(("transform", "steps", at), step) for at, step in enumerate(items(transform, "steps"))]
    for place, each in [(("transform",), transform), *steps]:
        for at, name in enumerate(items(each, "metrics") if said(each, "type") == "metrics" else ()):
            if name not in metrics:
                expected = f"a metric of the ontology {domain.ontology.name}"
                found.append(Problem((*place, "metrics", at), repr(name), expected, closest(str(name), metrics)))
    return found
