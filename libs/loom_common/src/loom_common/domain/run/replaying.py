"""Defines the changes of a replay against the run that it repeats: prompt, model, thresholds and edited records. It
does no I/O."""

import copy
import difflib
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from loom_common.domain.json_values import exact_json
from loom_common.errors import InvalidDefinition, Problem
from loom_common.text import unstorable

GATE = "gate"
"""The key of a weighted gate's threshold in `thresholds`."""


class Changes(BaseModel):
    """Says what differs in a replay from the run whose records it reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    prompt: str | None = Field(None, description="The text of another prompt.")
    model: str | None = Field(None, description="Another model for the transform.")
    step: str | None = Field(None, description="The step whose prompt or model is another one, of several.")
    thresholds: dict[str, float] = Field(
        default_factory=dict, description="Other thresholds, by evaluator; of a weighted gate: `gate`."
    )
    edits: dict[str, Any] = Field(
        default_factory=dict,
        description="Other values for input fields of every record. Text is read as the type that the field has.",
    )
    evaluate: dict[str, Any] | None = Field(None, description="Another `evaluate` section, in place of the run's.")
    providers: dict[str, Any] = Field(
        default_factory=dict, description="Providers of models beside those of the pipeline, by name."
    )
    prices: dict[str, Any] = Field(
        default_factory=dict, description="Prices of models beside those of the pipeline, by model."
    )
    files: dict[str, str] = Field(
        default_factory=dict, description="Files that `evaluate` names, beside those of the run, by path, as text."
    )
    outputs: bool = Field(
        False, description="Judge the outputs that were kept back, in place of transforming the records again."
    )


def changed(definition: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """Return the definition with the changes applied. Raises `InvalidDefinition` for changes that do not fit it."""
    made: dict[str, Any] = copy.deepcopy(dict(definition))
    transform, problems = _asking(made.get("transform", {}), changes)
    for name in ("prompt", "model"):
        if not problems and getattr(changes, name) is not None and transform.get("type") != "ai":
            found = f"a transform of type {transform.get('type')}"
            problems.append(Problem((name,), found, f"a transform of type ai, which has a {name}"))
    if changes.prompt is not None:
        problems += _mistakes(changes.prompt, transform, made)
        for key in ("prompt", "prompt_path", "prompt_version"):
            transform.pop(key, None)
        transform["prompt"] = changes.prompt
    if changes.model is not None:
        transform["model"] = changes.model
    if changes.evaluate is not None:
        made["evaluate"] = copy.deepcopy(changes.evaluate)
    for section in ("providers", "prices"):
        if beside := getattr(changes, section):
            made[section] = {**(made.get(section) or {}), **beside}
    problems += _set_thresholds(made, changes.thresholds)
    problems += _unstorable(changes.edits)
    problems += [
        Problem(
            (name,), "it beside `outputs`", "one of them: outputs that are judged as they were kept are not made anew"
        )
        for name in ("prompt", "model", "edits")
        if changes.outputs and getattr(changes, name)
    ]
    if problems:
        raise InvalidDefinition(problems)
    return made


def _asking(transform: dict[str, Any], changes: Changes) -> tuple[dict[str, Any], list[Problem]]:
    """Return the transform, or the step of it, that the changes are about."""
    steps = {str(step.get("name")): step for step in transform.get("steps") or ()}
    if changes.step is not None and changes.step not in steps:
        near = difflib.get_close_matches(changes.step, steps, n=1, cutoff=0.5)
        expected = f"a step of the transform: {', '.join(steps) or 'it has none'}"
        return transform, [Problem(("step",), repr(changes.step), expected, near[0] if near else None)]
    if changes.step is not None:
        return steps[changes.step], []
    asking = [name for name, step in steps.items() if step.get("type") == "ai"]
    if len(asking) == 1:
        return steps[asking[0]], []
    if asking and (changes.prompt is not None or changes.model is not None):
        return transform, [Problem((), "no step", f"`step`, as several ask models: {', '.join(asking)}")]
    return transform, []


def _mistakes(prompt: str, transform: Mapping[str, Any], definition: Mapping[str, Any]) -> list[Problem]:
    from loom_common.domain.prompts.prompt import EXAMPLES, ONTOLOGY
    from loom_common.domain.prompts.prompt_check import check_prompt

    context = [PurePath(path).stem for path in transform.get("context") or ()]
    also = [EXAMPLES] if transform.get("examples") else []
    also += [ONTOLOGY] if definition.get("ontology") else []
    return [
        Problem(("prompt",), f"{each.found} (line {each.line})", each.expected, each.suggestion)
        for each in check_prompt(prompt, context, list(definition.get("params") or {}), also)
    ]


def _unstorable(edits: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of edited values that no message or database can hold, as a source's values are checked."""
    return [
        Problem(("edits", name), repr(value)[:80], "text without NUL characters and halves of surrogate pairs")
        for name, value in edits.items()
        if unstorable({name: value}) is not None or "\0" in f"{name}{value}"
    ]


def _set_thresholds(definition: dict[str, Any], thresholds: Mapping[str, float]) -> list[Problem]:
    section = definition.get("evaluate") or {}
    gate = section.get("quality_gate")
    if isinstance(gate, Mapping) and gate.get("type") == "weighted":
        return _set_gate(section, gate, thresholds)
    evaluators = {each.get("name") or each["type"]: each for each in section.get("evaluators", ())}
    problems = []
    for name, threshold in thresholds.items():
        if name in evaluators:
            evaluators[name]["threshold"] = threshold
            continue
        near = difflib.get_close_matches(name, evaluators, n=1, cutoff=0.5)
        expected = f"an evaluator of the pipeline: {', '.join(evaluators) or 'it has none'}"
        problems.append(Problem(("thresholds", name), repr(name), expected, near[0] if near else None))
    return problems


def _set_gate(section: dict[str, Any], gate: Mapping[str, Any], thresholds: Mapping[str, float]) -> list[Problem]:
    """Change the threshold of a weighted gate, which ignores those of its evaluators."""
    if GATE in thresholds:
        section["quality_gate"] = {**gate, "threshold": thresholds[GATE]}
    expected = f"`{GATE}`: under a weighted gate no evaluator's threshold decides, only the gate's own"
    return [Problem(("thresholds", name), repr(name), expected, GATE) for name in thresholds if name != GATE]


def edited(data: Mapping[str, Any], edits: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's input with the edits applied.

    An edit stays text where the field holds text or does not exist; otherwise it is read as JSON, so that `5` is a
    number."""
    return {**data, **{name: _alike(value, data.get(name, "")) for name, value in edits.items()}}


def _alike(value: Any, before: Any) -> Any:
    if not isinstance(value, str) or isinstance(before, str):
        return value
    try:
        return exact_json.loads(value)
    except ValueError:
        return value
