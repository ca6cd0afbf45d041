"""Reads cascade files, which `loom bench calibrate --cascade` writes: where a cascade asks its dear model, and what is
promised of that.

The file travels with a run as text, in the run's plan. It names the settings that its thresholds were chosen for by
their hash, because the promise is of these alone: with another model, prompt or output it says nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from loom_common.domain.checks import calibrator
from loom_common.domain.definition.evaluators import Evaluator, ModelJudged
from loom_common.domain.definition.failures.recovery import Recovery
from loom_common.domain.definition.judge_cascade import JudgeCascadeConfig
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.cascade import CascadeConfig
from loom_common.domain.run.plan import Plan
from loom_common.domain.section import items, said
from loom_common.domain.values.ids import content_hash
from loom_common.errors import PermanentError, Problem
from loom_common.statistics.cascades import Band

KIND = "loom cascade 1"
TRANSFORM = "transform"
"""Names the cascade of the transform in its file; that of an evaluator is named by the evaluator."""
_NEVER = 2.0
_TO_BE_CHOSEN = "`file`, as `loom bench calibrate PIPELINE --cascade --output FILE` writes it"
_KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class CascadeFile:
    """Holds the thresholds of a cascade, and what is promised of them."""

    of: str
    """`transform`, or the name of the evaluator."""
    settings: str
    """The hash of the settings that they were chosen for."""
    band: Band
    asked: float
    """The share of the sample that the dear model was asked about."""
    promise: str
    """Says in words what holds, and with which probability."""
    version: int


def parsed(text: str) -> CascadeFile:
    """Read the text of a cascade file. Raises `ValueError` with what is wrong with it."""
    try:
        document = json.loads(text)
    except ValueError:
        raise ValueError("it is no JSON") from None
    match document:
        case {
            "kind": str() as kind,
            "of": str() as of,
            "settings": str() as settings,
            "thresholds": {"high": int() | float() as high, "low": int() | float() as low},
            "promise": {"words": str() as words},
            "sample": {"share_asked": int() | float() as asked},
        }:
            if kind != KIND:
                raise ValueError(f"its kind is {kind!r}, and not {KIND!r}")
            if not (0 <= low <= high and 0 <= asked <= 1):
                raise ValueError("its thresholds are no band of confidences")
            return CascadeFile(of, settings, Band(high, low), asked, words, int(document.get("version", 1)))
    raise ValueError("it holds no thresholds: `loom bench calibrate --cascade` writes such files")


def cascades_of(pipeline: Pipeline) -> Iterator[tuple[_KeyPath, str, CascadeConfig | JudgeCascadeConfig]]:
    """Yield the cascades of a pipeline: the place, what the cascade is of, and its settings."""
    transform = pipeline.transform
    if isinstance(transform, AiTransformConfig) and transform.cascade is not None:
        yield ("transform", "cascade"), TRANSFORM, transform.cascade
    for at, each in enumerate(pipeline.evaluate.evaluators if pipeline.evaluate else ()):
        if isinstance(each, ModelJudged) and each.cascade is not None:
            yield ("evaluate", "evaluators", at, "cascade"), each.name, each.cascade


def named_in(definition: Any) -> Iterator[tuple[_KeyPath, str]]:
    """Yield the cascade files that a definition names, as written or as a model, with their places."""
    of_transform = said(said(said(definition, "transform"), "cascade"), "file")
    written: list[tuple[_KeyPath, Any]] = [(("transform", "cascade", "file"), of_transform)]
    for at, each in enumerate(items(said(definition, "evaluate"), "evaluators")):
        written.append((("evaluate", "evaluators", at, "cascade", "file"), said(said(each, "cascade"), "file")))
    yield from ((at, name) for at, name in written if isinstance(name, str))


def band_of(plan: Plan, of: str) -> Band:
    """Return where the cascade of the transform, or of the evaluator of that name, asks its dear model. Raises
    `PermanentError` where its file is missing from the plan, or is not of these settings."""
    for _, name, cascade in cascades_of(plan.pipeline):
        if name == of:
            return _band(plan, of, cascade)
    raise AssertionError(f"{of} has no cascade")


def bands_of_evaluators(plan: Plan) -> dict[str, Band]:
    """Return where the cascades of evaluators ask their judges, by the names of the evaluators. Raises as `band_of`."""
    return {name: _band(plan, name, each) for _, name, each in cascades_of(plan.pipeline) if name != TRANSFORM}


def _band(plan: Plan, of: str, cascade: CascadeConfig | JudgeCascadeConfig) -> Band:
    if cascade.file is None:
        return by_hand(cascade)
    if cascade.file not in plan.files:
        raise PermanentError(f"The run's plan lacks the cascade file {cascade.file}. Start the run again.")
    if (wrong := misfit(plan.pipeline, plan.files, of, plan.files[cascade.file])) is not None:
        raise PermanentError(f"The cascade file {cascade.file} cannot be used: {wrong}.")
    return parsed(plan.files[cascade.file]).band


def by_hand(cascade: CascadeConfig | JudgeCascadeConfig) -> Band:
    """Return the band that the definition itself says."""
    if isinstance(cascade, CascadeConfig):
        return Band(_NEVER if cascade.threshold is None else cascade.threshold)
    return Band(_NEVER if cascade.pass_from is None else cascade.pass_from, cascade.fail_below or 0.0)


def misfit(pipeline: Pipeline, files: Mapping[str, str], of: str, text: str) -> str | None:
    """Say why a cascade file's text cannot be used for this cascade of a pipeline; None where it can."""
    try:
        found = parsed(text)
    except ValueError as error:
        return str(error)
    if found.of != of:
        return f"it is of {found.of}, and not of {of}"
    if found.settings != settings_hash(pipeline, files, of):
        return (
            "its thresholds were chosen for other settings (models, prompt, output or criteria), of which its promise "
            "says nothing: write it anew with `loom bench calibrate --cascade`"
        )
    return None


def is_chosen(cascade: CascadeConfig | JudgeCascadeConfig) -> bool:
    """Tell whether it is said where the dear model is asked."""
    by_hand = ("threshold", "pass_from", "fail_below")
    return cascade.file is not None or any(said(cascade, key) is not None for key in by_hand)


def mistakes(pipeline: Pipeline, files: Mapping[str, str]) -> Iterator[Problem]:
    """Yield what is wrong with the cascade files that a pipeline names, among the files that travel with it."""
    for place, of, cascade in cascades_of(pipeline):
        at = (*place, "file")
        if cascade.file is None:
            if not is_chosen(cascade):
                yield Problem(place, "a cascade without thresholds", f"{_TO_BE_CHOSEN}, or thresholds of your own")
        elif cascade.file not in files:
            there = ", ".join(files) or "there is none"
            yield Problem(at, f"{cascade.file!r}", f"a file that is among the request's `files` ({there})")
        elif (wrong := misfit(pipeline, files, of, files[cascade.file])) is not None:
            yield Problem(at, f"{cascade.file!r}", f"a cascade file that can be used ({wrong})")


_NOT_THE_QUESTION = {
    *Recovery.model_fields,
    *("on_failure", "fallback", "schema_", "calibration", "cascade", "cache", "timeout", "rate_limit", "api_key"),
    *("prompt_version", "headers"),
}
"""The keys of a transform that do not change what its model is asked, and says."""
_NOT_THE_ANSWER = {"name", "weight", "timeout", "api_key", "cascade"}
"""The keys of an evaluator that do not change what it says."""


def settings_hash(pipeline: Pipeline, files: Mapping[str, str], of: str) -> str:
    """Return the hash of everything that decides what the two tiers of a cascade say of a record."""
    transform, evaluate = pipeline.transform, pipeline.evaluate
    if of == TRANSFORM:
        assert isinstance(transform, AiTransformConfig)
        assert transform.cascade is not None
        values = {name for _, name in (*named_in(pipeline), *calibrator.named_in(pipeline))}
        parts: list[Any] = [
            transform.model_dump(mode="json", exclude=_NOT_THE_QUESTION),
            transform.cascade.model_dump(mode="json", include={"cheap", "confidence"}),
            {name: text for name, text in files.items() if name not in values},
        ]
    else:
        assert evaluate is not None
        judge = next(each for each in evaluate.evaluators if each.name == of)
        assert isinstance(judge, ModelJudged)
        assert judge.cascade is not None
        parts = [_of_answer(judge), _of_answer(judge.cascade.cheap), evaluate.model, evaluate.base_url]
    return content_hash(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS))[:16]


def _of_answer(evaluator: Evaluator) -> dict[str, Any]:
    return evaluator.model_dump(mode="json", by_alias=True, exclude=_NOT_THE_ANSWER)
