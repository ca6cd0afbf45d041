"""Applies a profile of a pipeline's file to it: the steps that a run takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from loom.project.definition_file import LoadedPipeline, built
from loom_common.domain.section import said
from loom_common.domain.steps.profiles import Profiled, profiled
from loom_common.domain.values.near import closest
from loom_common.errors import ConfigurationError, InvalidDefinition


def with_profile(loaded: LoadedPipeline, name: str, allowed: Sequence[Path]) -> tuple[LoadedPipeline, str]:
    """Return the pipeline with the steps of a profile, and in a sentence which these are. Raises `ConfigurationError`
    where there is no such profile, or the pipeline has a mistake without the other steps."""
    profiles = loaded.pipeline.profiles
    if name not in profiles:
        near = closest(name, profiles)
        known = f"It has {', '.join(profiles)}." if profiles else "It has none (`profiles`)."
        hint = f" Did you mean {near}?" if near else ""
        raise ConfigurationError(f"{loaded.pipeline.name} has no profile {name!r}. {known}{hint}")
    made = profiled(loaded.definition, profiles[name])
    if made.definition["transform"].get("steps") == []:
        raise ConfigurationError(f"The profile {name} of {loaded.pipeline.name} takes no step.")
    try:
        return built(made.definition, loaded.path, allowed), _words(name, made)
    except InvalidDefinition as error:
        raise ConfigurationError(f"Without the steps that the profile {name} leaves out: {error}") from error


def _words(name: str, made: Profiled) -> str:
    steps = ", ".join(step["name"] for step in made.definition["transform"].get("steps", ())) or "the whole transform"
    added = f" Added, because others need them: {', '.join(made.added)}." if made.added else ""
    left_out = f" Left out, because they need skipped ones: {', '.join(made.left_out)}." if made.left_out else ""
    ontology = said(made.definition.get("ontology"), "name") or made.definition.get("ontology")
    domain = f" Its ontology is {ontology}." if ontology else ""
    return f"The profile {name} takes {steps}.{added}{left_out}{domain}"
