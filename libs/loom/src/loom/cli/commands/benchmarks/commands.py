"""Implements `loom bench run`, `compare`, `score` and `calibrate`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from loom.cli.commands.benchmarks.options import Confidence, Field, File, Files, Measuring
from loom.cli.options.common import Form
from loom.cli.options.groups import grouped
from loom.cli.options.thresholds import Risk
from loom.cli.output.formats import Format
from loom.cli.output.stdout import App

if TYPE_CHECKING:
    from loom.benchmarks.running.candidates import Candidate
    from loom.project.config import LoomConfig
    from loom_common.statistics.cascades import Promise
    from loom_common.statistics.thresholds import Goal

AnyGoal = TypeVar("AnyGoal", bound=StrEnum)

app = App(help="Measure pipelines, models, prompts and evaluators against labelled data.", no_args_is_help=True)

_Evaluators = Annotated[
    bool,
    typer.Option("--evaluators/--no-evaluators", help="Whether the pipeline's evaluators score the outputs, too."),
]


@app.command("run")
@grouped
def run(
    pipeline: File,
    field: Field = None,
    confidence: Confidence = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="MODEL", help="Ask this model instead of the pipeline's.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", metavar="PATH", help="Ask with this prompt instead of the pipeline's.")
    ] = None,
    evaluators: _Evaluators = True,
    form: Form = Format.TABLE,
    *,
    measuring: Measuring,
) -> None:
    """Measure the outputs of a pipeline against labels.

    The pipeline runs over the labelled records, in this process. Nothing is loaded into its destination, and answers
    that are in the journal are not paid for again. Shown are accuracy, precision, recall and F1 for each class and the
    confusion matrix, or for numbers the mean absolute error and the rank correlation; how well stated confidences hold;
    price and latency. Each figure has an interval of 95%, by the bootstrap.

    Exit codes: 0 all labelled records were measured, 2 bad usage or configuration, 3 the budget was spent before, 130
    interrupted."""
    from loom.cli.commands.benchmarks import carrying_out

    config = measuring.configuration()
    candidates = _candidates([pipeline], [model] if model else [], [prompt] if prompt else [], config)
    raise typer.Exit(
        carrying_out.outputs(candidates, field, confidence, measuring, config, form, evaluators=evaluators)
    )


@app.command("compare")
@grouped
def compare(
    pipelines: Files,
    field: Field = None,
    confidence: Confidence = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="MODEL", help="Ask this model. May be given again: each is a candidate."),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option("--prompt", metavar="PATH", help="Ask with this prompt. May be given again, for each model."),
    ] = None,
    evaluators: _Evaluators = False,
    form: Form = Format.TABLE,
    *,
    measuring: Measuring,
) -> None:
    """Measure several pipelines, models and prompts against the same labels, side by side.

    Each pipeline is measured with each model and each prompt. Shown are quality, price and latency of each, which of
    them are on the frontier of cost and quality, and by how much each is more accurate than the first one, on the same
    records.

    Exit codes: as those of `loom bench run`."""
    from loom.cli.commands.benchmarks import carrying_out

    config = measuring.configuration()
    candidates = _candidates(pipelines, model or [], prompt or [], config)
    raise typer.Exit(
        carrying_out.outputs(candidates, field, confidence, measuring, config, form, evaluators=evaluators)
    )


@app.command("score")
@grouped
def score(
    pipeline: File,
    outputs: Annotated[
        str | None,
        typer.Option(
            "--outputs",
            metavar="FILE",
            help="Where the outputs are, with the records' keys, e.g. the destination of an earlier run. Default: what "
            "the transform makes, if it asks no model.",
        ),
    ] = None,
    evaluator: Annotated[
        list[str] | None,
        typer.Option("--evaluator", metavar="NAME", help="Measure this evaluator alone. May be given again."),
    ] = None,
    pass_label: Annotated[
        str | None,
        typer.Option("--pass-label", metavar="LABEL", help="The label that means a pass; all others mean a fail."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="GOAL=SHARE",
            help="Propose a threshold for `precision=0.95` (of what passes, so much is right to) or `recall=0.9` (of "
            "what is right to pass, so much does).",
        ),
    ] = None,
    delta: Risk = 0.05,
    form: Form = Format.TABLE,
    *,
    measuring: Measuring,
) -> None:
    """Measure a pipeline's evaluators against verdicts of people.

    The evaluators score outputs that are there already. Labels are verdicts (pass or fail, yes or no, 1 or 0), or
    numbers. Shown are, for each evaluator, how often it agrees with the verdict at its threshold, Cohen's kappa, the
    area under its ROC curve, and how well its scores hold as probabilities. With --target, a threshold is proposed
    that holds it, where the labels show that one does.

    Exit codes: as those of `loom bench run`."""
    from loom.cli.commands.benchmarks import carrying_out

    config = measuring.configuration()
    candidates = _candidates([pipeline], [], [], config)
    raise typer.Exit(
        carrying_out.scores(
            candidates, outputs, evaluator or [], pass_label, goal_of(target), delta, measuring, config, form
        )
    )


@app.command("calibrate")
@grouped
def calibrate(
    pipeline: File,
    output: Annotated[
        Path, typer.Option("--output", metavar="PATH", help="The calibrator file to write; its version rises by one.")
    ],
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help="`platt` for a logistic curve, or `isotonic`.")
    ] = "platt",
    field: Field = None,
    confidence: Confidence = None,
    evaluator: Annotated[
        str | None,
        typer.Option("--evaluator", metavar="NAME", help="Calibrate the scores of this evaluator, against verdicts."),
    ] = None,
    outputs: Annotated[
        str | None,
        typer.Option("--outputs", metavar="FILE", help="With --evaluator: where the outputs are that it scores."),
    ] = None,
    folds: Annotated[
        int, typer.Option("--folds", metavar="N", min=2, max=100, help="How many parts cross-validation makes.")
    ] = 5,
    holdout: Annotated[
        float | None,
        typer.Option(
            "--holdout",
            metavar="SHARE",
            min=0.01,
            max=0.9,
            help="Instead of cross-validation: keep this share of the records to measure on, and fit to the others.",
        ),
    ] = None,
    cascade: Annotated[
        bool,
        typer.Option(
            "--cascade",
            help="Choose the thresholds of the `cascade` of the transform, or of --evaluator. Without --labels, what "
            "the dear model says of a drawn sample is right.",
        ),
    ] = False,
    target: Annotated[
        str,
        typer.Option(
            "--target",
            metavar="GOAL=SHARE",
            help="With --cascade: what holds: `accuracy=0.95`, or a `precision=` or `recall=` of each class.",
        ),
    ] = "accuracy=0.95",
    delta: Annotated[
        float,
        typer.Option("--delta", metavar="P", min=1e-6, max=0.5, help="With which probability that may not hold."),
    ] = 0.05,
    of_class: Annotated[
        str | None, typer.Option("--class", metavar="CLASS", help="The class whose precision or recall is meant.")
    ] = None,
    pass_label: Annotated[
        str | None,
        typer.Option("--pass-label", metavar="LABEL", help="With --cascade --evaluator: the label that means a pass."),
    ] = None,
    form: Form = Format.TABLE,
    *,
    measuring: Measuring,
) -> None:
    """Fit a calibrator, which turns a stated confidence, or an evaluator's score, into a probability that holds.

    It is fitted to labelled records. Figures before and after are of records that the curve was not fitted to. The file
    is used by `calibration` in the transform or the evaluator.

    With --cascade, both tiers of a cascade are asked about the records, and thresholds are written to the file that
    hold --target with a probability of 1 - --delta. The file is used by `cascade.file`."""
    from loom.benchmarks.calibrating import Fit
    from loom.cli.commands.benchmarks import carrying_out
    from loom_common.statistics.calibration import METHODS

    if method not in METHODS:
        raise typer.BadParameter(f"'{method}' is none of {', '.join(METHODS)}", param_hint="--method")
    if outputs is not None and evaluator is None:
        raise typer.BadParameter("it is for the scores of an evaluator: give --evaluator, too", param_hint="--outputs")
    config = measuring.configuration()
    candidates = _candidates([pipeline], [], [], config)
    if cascade:
        promise = _promise(target, delta)
        if of_class is not None and (promise.goal == "accuracy" or evaluator is not None):
            raise typer.BadParameter("it goes with a precision or recall of outputs", param_hint="--class")
        more = {"evaluator": evaluator, "outputs": outputs, "pass_label": pass_label, "only": of_class}
        raise typer.Exit(carrying_out.cascade(candidates, field, promise, more, output, measuring, config, form))
    fit = Fit(method, folds, holdout, measuring.seed)
    raise typer.Exit(
        carrying_out.calibration(
            candidates, field, confidence, evaluator, outputs, fit, output, measuring, config, form
        )
    )


def _promise(text: str, delta: float) -> Promise:
    """Read `accuracy=0.95`. Raises `typer.BadParameter`."""
    from loom_common.statistics.cascades import CascadeGoal, Promise

    return Promise(*_share_of(text, CascadeGoal), delta)


def goal_of(text: str | None) -> tuple[Goal, float] | None:
    """Read `precision=0.95`. Raises `typer.BadParameter`."""
    from loom_common.statistics.thresholds import Goal

    return None if text is None else _share_of(text, Goal)


def _share_of(text: str, goals: type[AnyGoal]) -> tuple[AnyGoal, float]:
    """Read a goal and the share that it has to reach. Raises `typer.BadParameter`."""
    name, _, share = text.partition("=")
    with contextlib.suppress(ValueError):
        if 0 < float(share) < 1:
            return goals(name), float(share)
    known = ", ".join(f"{each}=SHARE" for each in goals)
    raise typer.BadParameter(f"'{text}' is none of {known}, with a share between 0 and 1", param_hint="--target")


def _candidates(
    names: Sequence[str], models: Sequence[str], prompts: Sequence[str], config: LoomConfig
) -> list[Candidate]:
    from loom.benchmarks.running.candidates import candidates
    from loom.project import catalog

    return candidates([catalog.find_file(name, config) for name in names], models, prompts, config)
