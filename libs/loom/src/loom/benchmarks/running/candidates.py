"""Makes the pipelines that a benchmark compares: files, and one file with other models and prompts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline, built
from loom_common.domain.definition.pipeline import Pipeline, models_of
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.model_options.providers import split_model
from loom_common.domain.steps.views import has_steps
from loom_common.errors import ConfigurationError

_LONGEST_NAME = 94


@dataclass(frozen=True, slots=True)
class Candidate:
    """Holds one pipeline that is measured."""

    name: str
    loaded: LoadedPipeline

    @property
    def pipeline(self) -> Pipeline:
        """Return the pipeline as it is."""
        return self.loaded.pipeline


def candidates(
    files: Sequence[LoadedPipeline], models: Sequence[str], prompts: Sequence[str], config: LoomConfig
) -> list[Candidate]:
    """Return every file, and those that ask a model with each of the models and each of the prompts, which are files or
    texts. Raises `ConfigurationError` where none asks a model, and what reading the prompts raises."""
    asking = [each for each in files if isinstance(each.pipeline.transform, AiTransformConfig)]
    if (models or prompts) and not asking:
        names = " and ".join(each.pipeline.name for each in files)
        if any(has_steps(each.pipeline.transform) for each in files):
            raise ConfigurationError(
                f"--model and --prompt are for a transform that is one step, and that of {names} is not. Write the "
                "models and prompts to compare into files of their own."
            )
        raise ConfigurationError(f"{names} asks no model in its transform: --model and --prompt change nothing there.")
    return _with_names_of_their_own(
        [
            _candidate(loaded, model, prompt, config, several=len(files) > 1)
            for loaded in files
            for model in (models if loaded in asking else ()) or (None,)
            for prompt in (prompts if loaded in asking else ()) or (None,)
        ]
    )


def _candidate(
    loaded: LoadedPipeline, model: str | None, prompt: str | None, config: LoomConfig, *, several: bool
) -> Candidate:
    transform = loaded.pipeline.transform
    parts = [loaded.pipeline.name] if several else []
    parts.append(model or transform.made_by or transform.type)
    changed = dict(loaded.definition["transform"])
    if model is not None:
        providers = dict(loaded.pipeline.providers)
        if split_model(model, providers)[0] != split_model(str(changed["model"]), providers)[0]:
            changed = {key: value for key, value in changed.items() if key not in ("base_url", "api_key")}
        changed["model"] = model
    if prompt is not None:
        changed = {key: value for key, value in changed.items() if key not in ("prompt_path", "prompt_version")}
        changed["prompt"] = _as_named_there(prompt, loaded.folder)
        parts.append(Path(prompt).name if os.path.isfile(prompt) else prompt[:30])  # noqa: PTH113 - it may be no path
    if model is None and prompt is None:
        return Candidate(" ".join(parts), loaded)
    return Candidate(", ".join(parts), built({**loaded.definition, "transform": changed}, loaded.path, config.allowed))


def _as_named_there(prompt: str, folder: Path) -> str:
    """Return a prompt that is named from the working folder as the pipeline's file would name it."""
    return os.path.relpath(prompt, folder) if os.path.isfile(prompt) else prompt  # noqa: PTH113 - it may be no path


def _with_names_of_their_own(made: Sequence[Candidate]) -> list[Candidate]:
    names = [each.name for each in made]
    return [
        each if names.count(each.name) == 1 else Candidate(f"{each.name} ({number})", each.loaded)
        for number, each in enumerate(made, 1)
    ]


@dataclass(frozen=True, slots=True)
class Setting:
    """Says how candidates are run."""

    concurrency: int | None = None
    evaluators: bool = True
    """Tells whether the pipeline's evaluators score the outputs, too."""
    calibrated: bool = True
    """Tells whether the pipeline's calibrators are used."""


def definition_of_run(candidate: Candidate, setting: Setting, destination: Path) -> dict[str, Any]:
    """Return the definition of the run that measures a candidate. It loads every output into a file of the project's
    state, whatever the gate would say of it; it tells nobody, and starts nothing else. It has a name of its own, so
    that the pipeline's history stays as it is."""
    written = candidate.loaded.definition
    kept = {
        key: value
        for key, value in written.items()
        if key not in ("depends_on", "spawn", "fail_on", "monitoring", "load")
    }
    budget = candidate.pipeline.monitoring.cost_budget
    definition = {
        **kept,
        "name": f"{candidate.pipeline.name[:_LONGEST_NAME]}_bench",
        "extract": {key: value for key, value in written["extract"].items() if key != "schema"},
        "load": {"destination": str(destination), "mode": "append"},
        **({} if budget is None else {"monitoring": {"cost_budget": budget}}),
    }
    if setting.concurrency is not None:
        definition["providers"] = _with_concurrency(written, candidate.pipeline, setting.concurrency)
    if not setting.calibrated:
        definition = _uncalibrated(definition)
    if not setting.evaluators:
        definition.pop("evaluate", None)
    elif isinstance(evaluate := definition.get("evaluate"), Mapping):
        open_gate = {"quality_gate": {"type": "weighted", "threshold": 0.0}}
        definition["evaluate"] = {key: value for key, value in evaluate.items() if key != "batch_threshold"} | open_gate
    return definition


def _uncalibrated(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definition without its calibrators: others are to be fitted to the scores as they are."""

    def without(section: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in section.items() if key != "calibration"}

    changed = {**definition, "transform": without(definition["transform"])}
    if isinstance(evaluate := definition.get("evaluate"), Mapping):
        changed["evaluate"] = {**evaluate, "evaluators": [without(each) for each in evaluate["evaluators"]]}
    return changed


def _with_concurrency(written: Mapping[str, Any], pipeline: Pipeline, concurrency: int) -> dict[str, Any]:
    configured = dict(written.get("providers") or {})
    asked = {split_model(model, dict(pipeline.providers))[0] for model in models_of(pipeline)}
    return configured | {name: {**configured.get(name, {}), "concurrency": concurrency} for name in sorted(asked)}
