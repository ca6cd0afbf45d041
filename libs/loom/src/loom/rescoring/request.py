"""Says how the outputs of a run are scored again: another `evaluate` section, other thresholds, or fewer evaluators."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loom.project.definition_file import LoadedPipeline
from loom_common.domain.run.replaying import Changes, changed
from loom_common.errors import ConfigurationError

_BESIDE = ("providers", "prices")
"""Sections of a pipeline file that say something about the models of evaluators."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Holds what is to be another."""

    file: LoadedPipeline | None = None
    """A pipeline whose `evaluate` section judges; None for that of the run."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    evaluators: Sequence[str] = ()
    """The names of those that judge; empty for all of the section."""


def changes_of(definition: Mapping[str, Any], asked: Asked) -> Changes:
    """Return the changes of a run's definition, with the whole `evaluate` section that judges. Raises
    `ConfigurationError` where there is none, and `InvalidDefinition` for names that it has not."""
    theirs = definition if asked.file is None else asked.file.definition
    section = copy.deepcopy(theirs.get("evaluate"))
    if not section:
        raise ConfigurationError(_no_section(asked))
    beside = {} if asked.file is None else {name: dict(theirs.get(name) or {}) for name in _BESIDE}
    section["evaluators"] = _chosen(section["evaluators"], asked.evaluators)
    _refuse_baselines(section["evaluators"])
    made = changed({**definition, "evaluate": section}, Changes(thresholds=dict(asked.thresholds)))
    named = {each.get("calibration") for each in section["evaluators"]}
    files = {} if asked.file is None else {path: text for path, text in asked.file.files.items() if path in named}
    return Changes(evaluate=made["evaluate"], files=files, **beside)


def _no_section(asked: Asked) -> str:
    if asked.file is not None:
        return f"{asked.file.path} has no `evaluate` section to judge with."
    return "The run's pipeline has no evaluators. Name a pipeline file that has some: --with FILE."


def _chosen(evaluators: Sequence[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    known = {str(each.get("name") or each["type"]): each for each in evaluators}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"There is no evaluator {name} among those that judge: {', '.join(known)}.{meant}")
    return [each for name, each in known.items() if not names or name in names]


def _refuse_baselines(evaluators: Sequence[Mapping[str, Any]]) -> None:
    """What the previous run was is told by the runs themselves, and this is none."""
    for each in evaluators:
        if each.get("baseline") == "previous_run":
            raise ConfigurationError(
                f"Evaluator {each.get('name') or each['type']} compares with the previous run, which only a run can "
                "do. Name the run to compare with (`baseline: run_...`) in a file for --with, or choose other "
                "evaluators with --evaluator."
            )
