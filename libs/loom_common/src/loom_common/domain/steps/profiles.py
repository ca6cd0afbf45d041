"""Selects steps of a pipeline by the name of a profile, e.g. for a quick look at the data. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import AliasChoices, Field

from loom_common.domain.section import Mistake, Section, items, mistake, said
from loom_common.domain.steps.graph import Graph, graph_of
from loom_common.domain.values.near import closest

_OF_STEPS = ("steps", "skip", "skip_steps", "fail_fast", "parallel")
"""Names the keys of a profile that are about steps."""


class ProfileConfig(Section):
    """Says which steps of a pipeline a run takes, and how."""

    steps: list[str] | None = Field(
        None,
        min_length=1,
        description="The steps that are taken, with those that they need. Default: `all`.",
        json_schema_extra={"anyOf": [{"type": "array", "items": {"type": "string"}, "minItems": 1}, {"const": "all"}]},
    )
    skip: list[str] = Field(
        [],
        validation_alias=AliasChoices("skip", "skip_steps"),
        description="Steps that are left out, with those that need them.",
    )
    fail_fast: bool = Field(False, description="Whether the first record that fails in a step fails the run.")
    parallel: bool | None = Field(
        None,
        description="Whether steps that do not need each other run at the same time. Default: as the pipeline says.",
    )
    ontology: str | None = Field(None, description="Another ontology, or null for none. Default: that of the pipeline.")

    @classmethod
    def long_form(cls, written: Any) -> Any:
        """Read `steps: all` as no `steps`."""
        all_steps = said(written, "steps") == "all"
        return {**written, "steps": None} if isinstance(written, Mapping) and all_steps else written


@dataclass(frozen=True, slots=True)
class Profiled:
    """Holds a definition with the steps of a profile alone."""

    definition: dict[str, Any]
    added: tuple[str, ...] = ()
    """Names the steps that were added because chosen ones need them."""
    left_out: tuple[str, ...] = ()
    """Names the steps that were left out because they need skipped ones."""


def profile_mistakes(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield the steps that profiles of a definition name and it does not have, and those that they both take and
    skip."""
    profiles = said(written, "profiles")
    steps = items(said(written, "transform"), "steps")
    names = [str(said(step, "name")) for step in steps]
    for profile, config in profiles.items() if isinstance(profiles, Mapping) else ():
        if not names and not any(said(config, key) is not None for key in _OF_STEPS):
            continue
        if not names:
            expected = "a transform that consists of `steps`, among which a profile selects"
            yield mistake(("profiles", profile), "no_steps", expected, profile)
            continue
        for key in ("steps", "skip", "skip_steps"):
            for at, name in enumerate(items(config, key)):
                if name not in names:
                    near = closest(str(name), names)
                    hint = f"; did you mean {near}?" if near else ""
                    expected = f"the name of a step ({', '.join(names)}{hint})"
                    yield mistake(("profiles", profile, key, at), "unknown_step", expected, name)
        yield from _contradicting(graph_of(steps), profile, config)


def _contradicting(graph: Graph, profile: str, config: Any) -> Iterator[Mistake]:
    skipped = {*items(config, "skip"), *items(config, "skip_steps")}
    for at, name in enumerate(items(config, "steps")):
        if clash := sorted(skipped & _with_needs(graph, [name])):
            expected = f"a step that does not need {clash[0]}, which `skip` leaves out"
            yield mistake(("profiles", profile, "steps", at), "skipped", expected, name)


def profiled(definition: Mapping[str, Any], profile: ProfileConfig) -> Profiled:
    """Return the definition, which has no mistakes, with the steps that a profile takes, and without profiles: they
    may name steps that it has no more."""
    if "ontology" in profile.model_fields_set:
        definition = _with_ontology(definition, profile.ontology)
    definition = {key: value for key, value in definition.items() if key != "profiles"}
    transform = dict(definition["transform"])
    steps = items(transform, "steps")
    if not steps:
        return Profiled(dict(definition))
    graph = graph_of(steps)
    names = [node.name for node in graph.nodes]
    gone = {name for name in names if _with_needs(graph, [name]) & set(profile.skip)}
    chosen = [name for name in names if profile.steps is None or name in profile.steps]
    taken = _with_needs(graph, [name for name in chosen if name not in gone])
    kept = [dict(step) for step in steps if said(step, "name") in taken]
    if profile.fail_fast:
        transform["on_failure"] = "abort"
        kept = [_failing(step) for step in kept]
    if profile.parallel is not None:
        transform["parallel"] = profile.parallel
    transform["steps"] = kept
    return Profiled(
        {**definition, "transform": transform},
        tuple(name for name in names if name in taken and name not in chosen),
        tuple(name for name in names if name in gone and name not in profile.skip and name in chosen),
    )


def _with_ontology(definition: Mapping[str, Any], name: str | None) -> Mapping[str, Any]:
    """Return a definition with another ontology, and without the checks of the one that it has; as it is where it has
    that one already."""
    written = said(definition, "ontology")
    if name is not None and name == (written if isinstance(written, str) else said(written, "name")):
        return definition
    checks = [each for each in items(definition["extract"], "quality_checks") if said(each, "check") != "ontology"]
    return {**definition, "ontology": name, "extract": {**definition["extract"], "quality_checks": checks}}


def _with_needs(graph: Graph, names: Iterable[str]) -> set[str]:
    """Return steps with all that they need, without those that only come before them because of their phase."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found and name in graph.by_name:
            found.add(name)
            waiting += [need.step for need in graph.by_name[name].needs]
    return found


def _failing(step: dict[str, Any]) -> dict[str, Any]:
    """Return a step that says nothing itself of what becomes of records that it fails on."""
    own = step.get("on_failure") in ("skip", "quarantine")
    return {key: value for key, value in step.items() if not (own and key == "on_failure")}
