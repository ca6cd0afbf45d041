"""Carries out a benchmark: joins labels and records, runs each candidate, and compares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from loom.benchmarks import measuring
from loom.benchmarks.data.joining import LabelledRecords, labelled_records
from loom.benchmarks.data.labels import Labels, read_labels
from loom.benchmarks.data.target import Kind, kind_of, number_of, target_of
from loom.benchmarks.data.verdicts import no_verdict, verdict_of
from loom.benchmarks.figures import comparing
from loom.benchmarks.figures.result import Benchmark, Measured
from loom.benchmarks.running import paid_answers
from loom.benchmarks.running.candidates import Candidate, Setting
from loom.benchmarks.running.given_outputs import read_outputs, taking_outputs, with_outputs
from loom.benchmarks.running.labelled_run import CandidateRun, carry_out
from loom.benchmarks.running.paid_answers import PaidAnswers
from loom.project.config import LoomConfig
from loom.session import RunEngine, open_session
from loom_common.contracts.v1 import RunProgress
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.steps.views import by_step
from loom_common.errors import ConfigurationError
from loom_common.statistics.thresholds import Goal
from loom_connectors.ports.source import ReadRecord

_NEXT_TO_NOTHING = 1e-9
"""The USD that a run may cost whose answers are all in the journal."""


@dataclass(frozen=True, slots=True)
class Request:
    """Says what is measured against which labels."""

    candidates: Sequence[Candidate]
    labels: str
    column: str | None = None
    keys: Sequence[str] = ()
    """Columns of the labels that name the record; those of the pipeline where none are given."""
    field: str | None = None
    confidence: str | None = None
    kind: Kind | None = None
    """Says what the labels are; None to find out."""
    sample: int | None = None
    budget: float | None = None
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    setting: Setting = dataclasses.field(default_factory=Setting)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ScoreRequest(Request):
    """Says which evaluators are measured against which labels."""

    outputs: str | None = None
    """Names the place of the outputs that are scored; None where the transform makes them without a model."""
    evaluators: Sequence[str] = ()
    """The evaluators that are compared; all of them where none are named."""
    pass_label: str | None = None
    goal: tuple[Goal, float] | None = None
    """Says what a threshold is to hold that the labels propose; None for no proposal."""
    delta: float = 0.05
    """The highest probability with which such a threshold may miss it."""


class Watch(Protocol):
    """Shows a benchmark while it goes."""

    def begun(self, candidate: str, run_id: str, number: int, of: int, records: int) -> None:
        """A candidate's run was accepted."""
        ...

    def show(self, progress: RunProgress) -> None:
        """Show the next progress of the run."""
        ...


async def measure_outputs(request: Request, config: LoomConfig, watch: Watch) -> Benchmark:
    """Measure the outputs of each candidate. Raises `ConfigurationError` where labels, records and outputs do not go
    together, or a candidate cannot run."""
    targets = [target_of(each.pipeline, request.field, request.confidence) for each in request.candidates]
    labels = await _labels(request, config, [each.label for each in targets if each.label is not None])
    kind = request.kind or kind_of(request.candidates[0].pipeline, targets[0].field, labels.values.values())
    _see_kind(kind, labels)
    carried = _Carried(request, config, watch, labels)
    measured = []
    async with open_session(config, cluster=False) as session:
        for candidate, target in zip(request.candidates, targets, strict=True):
            run, of_records = await carried.run(session, candidate)
            inputs = {name: record.data for name, record in of_records.items()}
            paid = await paid_answers.of_transform(run.report.run_id, run.loaded, config, inputs, request.params)
            if run.stopped is not None and paid is not None and paid.seconds:
                run = await carried.what_is_paid(session, run, {name: of_records[name] for name in paid.seconds})
            judged = await _judged(run, config, inputs, request.params)
            chosen = {name: labels.values[name] for name in of_records}
            measured.append(measuring.of_outputs(run, chosen, target, kind, paid, judged, request.seed))
    return carried.benchmark(kind.value, measured)


async def measure_scores(request: ScoreRequest, config: LoomConfig, watch: Watch) -> Benchmark:
    """Measure the scores of each candidate's evaluators. Raises as `measure_outputs` does."""
    for each in request.candidates:
        _see_evaluators(each, request)
    labels = await _labels(request, config, [])
    kind, values = _verdicts(labels, request)
    if request.goal is not None and kind is not Kind.CLASSES:
        raise ConfigurationError("--target needs verdicts as labels: pass or fail, yes or no, 1 or 0.")
    carried = _Carried(request, config, watch, labels)
    measured: list[Measured] = []
    async with open_session(config, cluster=False) as session:
        for candidate in request.candidates:
            outputs = None
            if request.outputs is not None:
                outputs = await read_outputs(request.outputs, config, candidate.pipeline)
                candidate = taking_outputs(candidate, config)  # noqa: PLW2901 - the same one, with another transform
            run, of_records = await carried.run(session, candidate, outputs)
            inputs = {name: record.data for name, record in of_records.items()}
            judged = await _judged(run, config, inputs, request.params)
            chosen = {name: values[name] for name in of_records}
            evaluate = candidate.pipeline.evaluate
            measured += [
                measuring.of_evaluator(run, chosen, each.name, each.threshold, kind, judged, request.seed)
                for each in (evaluate.evaluators if evaluate else ())
                if not request.evaluators or each.name in request.evaluators
            ]
    if request.goal is not None:
        measured = [measuring.with_proposal(each, *request.goal, request.delta) for each in measured]
    return carried.benchmark("verdicts" if kind is Kind.CLASSES else kind.value, measured)


class _Carried:
    """Runs the candidates of one benchmark, within its budget."""

    def __init__(self, request: Request, config: LoomConfig, watch: Watch, labels: Labels) -> None:
        self._request = request
        self._config = config
        self._watch = watch
        self._labels = labels
        self._joined: dict[tuple[str, str], LabelledRecords] = {}
        self._paid = 0.0
        self._number = 0

    async def run(
        self, session: RunEngine, candidate: Candidate, outputs: Mapping[str, Mapping[str, Any]] | None = None
    ) -> tuple[CandidateRun, Mapping[str, ReadRecord]]:
        """Run a candidate over the labelled records of its source; with `outputs`, over those that have one. Returns
        the records, too."""
        extract = candidate.pipeline.extract
        source = (str(candidate.loaded.folder), extract.model_dump_json())
        if source not in self._joined:
            request = self._request
            self._joined[source] = await labelled_records(
                candidate.loaded, self._config, self._labels, request.labels, request.params, request.sample
            )
        records = self._joined[source].records
        if outputs is not None:
            records = with_outputs(records, outputs)
            if not records:
                raise ConfigurationError("None of the labelled records has an output in --outputs.")
        self._number += 1
        number = self._number
        run = await carry_out(
            session,
            self._config,
            candidate,
            list(records.values()),
            self._request.setting,
            params=self._request.params,
            budget=self._left(candidate),
            begun=lambda run_id: self._watch.begun(
                candidate.name, run_id, number, len(self._request.candidates), len(records)
            ),
            show=self._watch.show,
        )
        self._paid += run.report.cost["total"]
        return run, records

    async def what_is_paid(
        self, session: RunEngine, stopped: CandidateRun, records: Mapping[str, ReadRecord]
    ) -> CandidateRun:
        """Run a candidate whose budget is spent over the records whose answers are in the journal: this costs nothing,
        and what was paid for is measured. Nobody judges."""
        again = await carry_out(
            session,
            self._config,
            stopped.candidate,
            list(records.values()),
            dataclasses.replace(self._request.setting, evaluators=False),
            params=self._request.params,
            budget=_NEXT_TO_NOTHING,
            begun=lambda _: None,
            show=self._watch.show,
        )
        return dataclasses.replace(again, report=stopped.report, stopped=stopped.stopped)

    def benchmark(self, kind: str, measured: Sequence[Measured]) -> Benchmark:
        """Return the result: the labels, and what each candidate was measured at."""
        return Benchmark(
            kind=kind,
            seed=self._request.seed,
            joined=next(iter(self._joined.values())).joined,
            candidates=comparing.compared(measured, self._request.seed),
            paid=self._paid,
            budget=self._request.budget,
        )

    def _left(self, candidate: Candidate) -> float | None:
        """Return what of the budget is left. Raises `ConfigurationError` where nothing is."""
        budget = self._request.budget
        if budget is None:
            return None
        if self._paid >= budget:
            raise ConfigurationError(
                f"The budget of ${budget:g} is spent before {candidate.name} was begun. What was paid for is in the "
                "journal: the same command with a higher --budget pays for the rest alone."
            )
        return budget - self._paid


async def _labels(request: Request, config: LoomConfig, usual: Sequence[str]) -> Labels:
    for each in request.candidates:
        if not each.pipeline.extract.keys:
            raise ConfigurationError(
                f"{each.pipeline.name} has no `extract.key`: labels are joined with records by their key."
            )
    keys = tuple(request.keys) or request.candidates[0].pipeline.extract.keys
    if len(keys) != len(request.candidates[0].pipeline.extract.keys):
        wanted = ", ".join(request.candidates[0].pipeline.extract.keys)
        raise ConfigurationError(f"--key names {', '.join(keys)}; records are identified by {wanted}, so name as many.")
    return await read_labels(request.labels, config, keys, request.column, usual)


def _see_kind(kind: Kind, labels: Labels) -> None:
    if kind is Kind.NUMBERS:
        for name, label in labels.values.items():
            if number_of(label) is None:
                raise ConfigurationError(
                    f"The label {label!r} of the record {name} is no number. Compare classes with --as classes, or "
                    "name another column with --label."
                )


def _verdicts(labels: Labels, request: ScoreRequest) -> tuple[Kind, dict[str, Any]]:
    """Return the labels as verdicts, or else as numbers. Raises `ConfigurationError` where they are neither."""
    said = {name: verdict_of(label, request.pass_label) for name, label in labels.values.items()}
    if all(said.values()) and request.kind is not Kind.NUMBERS:
        return Kind.CLASSES, said
    for name, label in labels.values.items():
        if said[name] is None and (number_of(label) is None or request.kind is Kind.CLASSES):
            raise no_verdict(labels.column, label)
    return Kind.NUMBERS, dict(labels.values)


def _see_evaluators(candidate: Candidate, request: ScoreRequest) -> None:
    evaluate = candidate.pipeline.evaluate
    known = [each.name for each in evaluate.evaluators] if evaluate else []
    if not known:
        raise ConfigurationError(f"{candidate.pipeline.name} has no evaluators; `loom bench run` measures its outputs.")
    for name in request.evaluators:
        if name not in known:
            raise ConfigurationError(
                f"{candidate.pipeline.name} has no evaluator '{name}'; it has {', '.join(known)}. See --evaluator."
            )
    transforms = [alone.transform for _, alone in by_step(candidate.pipeline)]
    if request.outputs is None and any(isinstance(each, AiTransformConfig) for each in transforms):
        raise ConfigurationError(
            f"The transform of {candidate.pipeline.name} asks a model, and `loom bench score` pays for evaluators "
            "alone. Say where its outputs are with --outputs, e.g. the destination of an earlier run."
        )


async def _judged(
    run: CandidateRun, config: LoomConfig, inputs: Mapping[str, dict[str, Any]], params: Mapping[str, Any]
) -> PaidAnswers | None:
    keys = run.candidate.pipeline.extract.keys
    outputs = {
        name: {key: value for key, value in output.items() if key not in keys} for name, output in run.outputs.items()
    }
    return await paid_answers.of_judges(run.report.run_id, run.loaded, config, inputs, outputs, params)
