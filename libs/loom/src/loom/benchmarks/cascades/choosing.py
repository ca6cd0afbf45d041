"""Chooses the thresholds of a cascade so that a promise about its outputs holds, and writes them to a file."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from loom.benchmarks.benchmark import Request, Watch
from loom.benchmarks.cascades import tiers
from loom.benchmarks.cascades.sampled import sampled_records
from loom.benchmarks.cascades.tiers import Asked, Asking
from loom.benchmarks.data.joining import labelled_records
from loom.benchmarks.data.labels import Labels, read_labels
from loom.benchmarks.data.target import class_of, target_of
from loom.benchmarks.data.verdicts import FAIL, PASS, no_verdict, verdict_of
from loom.benchmarks.running.candidates import Candidate
from loom.benchmarks.shown.files import put
from loom.project.config import LoomConfig
from loom.session import open_session
from loom_common.domain.checks.cascade_file import KIND, TRANSFORM, cascades_of, parsed, settings_hash
from loom_common.domain.definition.evaluators import ModelJudged
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.values.ids import content_hash
from loom_common.errors import ConfigurationError
from loom_common.statistics.cascades import CascadeGoal, Choice, Promise, Tried, by_confidence, by_score, fewest
from loom_connectors.ports.source import ReadRecord

USUAL_SAMPLE = 300


@dataclass(frozen=True, slots=True)
class CascadeRequest(Request):
    """Says what is promised of which cascade."""

    promise: Promise = field(default_factory=lambda: Promise(CascadeGoal.ACCURACY, 0.95, 0.05))
    only: str | None = None
    """The class whose precision or recall is meant; None for each of them."""
    evaluator: str | None = None
    outputs: str | None = None
    pass_label: str | None = None


@dataclass(frozen=True, slots=True)
class ChosenCascade(Shown):
    """Holds the thresholds of a cascade, and what they come to on the records that they were chosen on."""

    of: str
    cheap: str
    dear: str
    high: float
    low: float
    records: int
    without_label: int
    asked: int
    right: int
    dear_right: int
    promise: str
    labels: str
    cost: float
    version: int
    hash: str
    file: str


async def choose(request: CascadeRequest, config: LoomConfig, watch: Watch, file: Path) -> ChosenCascade:
    """Ask both tiers about the records, choose, and write the file. Raises `ConfigurationError` where there is no
    cascade, too little to learn from, or no threshold that can be shown to hold the promise."""
    (candidate,) = request.candidates
    of, judge = _meant(candidate, request.evaluator)
    version = _version_before(file) + 1
    labels = await _labels(request, config, candidate)
    if labels is None:
        records: Mapping[str, ReadRecord] = await sampled_records(
            candidate.loaded, config, request.params, request.sample or USUAL_SAMPLE, request.seed
        )
    else:
        joined = await labelled_records(
            candidate.loaded, config, labels, request.labels, request.params, request.sample
        )
        records = joined.records
    async with open_session(config, cluster=False) as session:
        asking = Asking(
            session,
            config,
            request.setting,
            request.params,
            watch.show,
            lambda name, run_id, number: watch.begun(name, run_id, 1, 1, number),
        )
        if judge is None:
            compared = target_of(candidate.pipeline, request.field, request.confidence).field
            asked = await tiers.of_transform(candidate, records, compared, asking, request.budget)
        else:
            asked = await tiers.of_evaluator(candidate, records, judge, request.outputs, asking, request.budget)
    tried = _labelled(asked, labels, request)
    choice = _chosen(tried, request, judge)
    cheap, dear = _names(candidate, judge)
    source = dear if labels is None else request.labels
    words = _words(request, judge, len(tried), source)
    text = _text(candidate, of, request, choice, tried, source, words, version)
    put(text, file)
    return ChosenCascade(
        of=of,
        cheap=cheap,
        dear=dear,
        high=choice.band.high,
        low=choice.band.low,
        records=len(tried),
        without_label=len(records) - len(tried),
        asked=choice.asked,
        right=choice.right,
        dear_right=sum(each.dear == each.label for each in tried),
        promise=words,
        labels=source,
        cost=asked.cost,
        version=version,
        hash=content_hash(text.encode())[:12],
        file=str(file),
    )


def _meant(candidate: Candidate, evaluator: str | None) -> tuple[str, ModelJudged | None]:
    """Return what has the cascade that is meant: the transform, or the evaluator of that name."""
    found = [name for _, name, _ in cascades_of(candidate.pipeline)]
    of = evaluator or TRANSFORM
    if of not in found:
        known = ", ".join(found) or "there is none in this pipeline"
        raise ConfigurationError(f"{candidate.pipeline.name}: {of} has no `cascade`; those that have one: {known}.")
    if evaluator is None:
        return of, None
    evaluate = candidate.pipeline.evaluate
    judge = next(each for each in (evaluate.evaluators if evaluate else ()) if each.name == of)
    assert isinstance(judge, ModelJudged)
    return of, judge


async def _labels(request: CascadeRequest, config: LoomConfig, candidate: Candidate) -> Labels | None:
    keys = candidate.pipeline.extract.keys
    if not keys:
        raise ConfigurationError(
            f"{candidate.pipeline.name} has no `extract.key`, by which the same records are drawn each time."
        )
    asks = isinstance(candidate.pipeline.transform, AiTransformConfig)
    if request.outputs is None and request.evaluator is not None and asks:
        raise ConfigurationError(
            f"The transform of {candidate.pipeline.name} asks a model. Say where the outputs are that the evaluator "
            "scores with --outputs, e.g. the destination of an earlier run."
        )
    if not request.labels:
        return None
    usual = () if request.evaluator else (target_of(candidate.pipeline, request.field, None).label,)
    named = [each for each in usual if each is not None]
    return await read_labels(request.labels, config, tuple(request.keys) or keys, request.column, named)


def _labelled(asked: Asked, labels: Labels | None, request: CascadeRequest) -> list[Tried]:
    """Put the labels in. Without any, what the dear model says is right, and a record that it says nothing about tells
    nothing."""
    found = []
    for name, each in asked.tried.items():
        label: str | None
        if labels is None:
            label = each.dear
        elif request.evaluator is None:
            label = class_of(labels.values[name])
        elif (label := verdict_of(labels.values[name], request.pass_label)) is None:
            raise no_verdict(labels.column, labels.values[name])
        if label is not None:
            found.append(replace(each, label=label))
    return found


def _chosen(tried: list[Tried], request: CascadeRequest, judge: ModelJudged | None) -> Choice:
    promise = request.promise
    choice = by_confidence(tried, promise, request.only) if judge is None else by_score(tried, promise, PASS, FAIL)
    if choice is not None:
        return choice
    right = sum(each.dear == each.label for each in tried)
    raise ConfigurationError(
        f"No threshold was chosen: {len(tried):,} records do not show a {promise.goal} of {promise.target:g} with a "
        f"probability of {1 - promise.delta:g}, not even for the dear model alone, which is right about {right:,} of "
        f"them. At least {fewest(promise):,} records (of each class that is meant) are needed, all of them right. Take "
        "more records (--sample), or lower --target."
    )


def _names(candidate: Candidate, judge: ModelJudged | None) -> tuple[str, str]:
    transform, evaluate = candidate.pipeline.transform, candidate.pipeline.evaluate
    if judge is None:
        assert isinstance(transform, AiTransformConfig)
        assert transform.cascade is not None
        return transform.cascade.cheap.name, transform.model
    assert judge.cascade is not None
    cheap = judge.cascade.cheap
    return getattr(cheap, "model", None) or cheap.type, judge.model or (evaluate.model if evaluate else None) or ""


def _words(request: CascadeRequest, judge: ModelJudged | None, records: int, source: str) -> str:
    """Say what is promised, for people."""
    promise = request.promise
    share = f"at least {promise.target:g}"
    classes = "each class" if request.only is None else f"the class {request.only}"
    what = {
        (CascadeGoal.ACCURACY, False): f"A share of {share} of the outputs is right",
        (CascadeGoal.PRECISION, False): f"Of the outputs of {classes}, a share of {share} is right",
        (CascadeGoal.RECALL, False): f"Of the records of {classes}, a share of {share} gets its output",
        (CascadeGoal.ACCURACY, True): f"A share of {share} of the verdicts is right",
        (CascadeGoal.PRECISION, True): f"Of what passes, a share of {share} is right to",
        (CascadeGoal.RECALL, True): f"Of what is right to pass, a share of {share} passes",
    }[promise.goal, judge is not None]
    right = f"right is what {source} says" if not request.labels else f"labels: {source}"
    return f"{what}, with a probability of {1 - promise.delta:g} ({records:,} records; {right})"


def _version_before(file: Path) -> int:
    """Return the version of the file that is there; 0 where there is none. Raises `ConfigurationError` for a file that
    is no cascade file: it is somebody else's."""
    if not file.exists():
        return 0
    try:
        return parsed(file.read_text(encoding="utf-8")).version
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{file} is there and is no cascade file ({error}); nothing is written in its place."
        ) from None


def _text(
    candidate: Candidate,
    of: str,
    request: CascadeRequest,
    choice: Choice,
    tried: list[Tried],
    source: str,
    words: str,
    version: int,
) -> str:
    promise = request.promise
    document: dict[str, Any] = {
        "kind": KIND,
        "of": of,
        "version": version,
        "thresholds": {"high": choice.band.high, "low": choice.band.low},
        "promise": {
            "goal": promise.goal.value,
            "target": promise.target,
            "delta": promise.delta,
            "class": request.only,
            "words": words,
        },
        "sample": {
            "records": len(tried),
            "labels": source,
            "asked": choice.asked,
            "share_asked": choice.share_asked,
            "right": choice.right,
            "dear_right": sum(each.dear == each.label for each in tried),
        },
        "settings": settings_hash(candidate.pipeline, candidate.loaded.files, of),
        "pipeline": candidate.pipeline.name,
        "pipeline_version": candidate.pipeline.version,
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
