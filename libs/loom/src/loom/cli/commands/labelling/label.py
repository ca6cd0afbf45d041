"""Implements `loom label`, by which people judge records of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.options.common import Form, WithFiles
from loom.cli.options.groups import grouped
from loom.cli.options.thresholds import Risk
from loom.cli.output.formats import Format

if TYPE_CHECKING:
    from loom.labelling.report import Wanted


@grouped
def label(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run whose records are judged.")],
    count: Annotated[
        int | None,
        typer.Option(
            "--count",
            metavar="N",
            min=1,
            max=5_000,
            help="The number of records of the sample; a larger one begins with a smaller one. Default: the sample "
            "that was drawn before, else 50.",
        ),
    ] = None,
    evaluator: Annotated[
        str | None,
        typer.Option(
            "--evaluator",
            metavar="NAME",
            help="Show those nearest to the threshold of this evaluator, or of the `gate`. Default: the only "
            "evaluator, else the gate.",
        ),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            "--field",
            metavar="FIELD",
            help="Ask about this field of the output, and for its right value where it is wrong.",
        ),
    ] = None,
    person: Annotated[
        str | None,
        typer.Option(
            "--person",
            metavar="NAME",
            help="Who judges. Default: the user of this system. With --report and --labels: whose labels count. "
            "Default: those of all.",
        ),
    ] = None,
    blind: Annotated[
        bool, typer.Option("--blind", help="Do not show what the evaluators said before you have.")
    ] = False,
    import_from: Annotated[
        str | None,
        typer.Option("--import", metavar="FILE", help="Take labels from a file or an address; ask nobody."),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="Write the labels as CSV, which `loom bench` reads; ask nobody."),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Show how far people and evaluators agree, and propose thresholds.")
    ] = False,
    target: Annotated[
        str | None,
        typer.Option(
            "--target",
            metavar="GOAL=SHARE",
            help="With --report: what a threshold has to hold, `precision=0.95` or `recall=0.9`. Default: "
            "precision=0.9.",
        ),
    ] = None,
    delta: Risk = 0.05,
    form: Form = Format.TABLE,
    *,
    common: WithFiles,
) -> None:
    """Judge records of a run: those nearest to a threshold, and some that are drawn at random.

    Each record is shown with its input, its output, and what the evaluators said. One key says whether the output is
    good enough; each answer is stored at once, so that you can stop at any time and go on later. Several persons can
    judge the same records. The labels say how far the evaluators can be trusted (--report), and are written for `loom
    bench` (--labels). Where this is no terminal, take labels from a file (--import), or list the sample (--format
    json)."""
    from loom.cli.commands.labelling import carrying_out
    from loom.project.person import person as user

    ways = [name for name, given in (("--import", import_from), ("--labels", labels), ("--report", report)) if given]
    if len(ways) > 1:
        raise typer.BadParameter("they are different things: give one of them", param_hint=" and ".join(ways))
    config, verbose = common.configuration(), common.verbose
    if import_from is not None:
        carrying_out.take_in(config, run_id, import_from, person or user(), form, verbose=verbose)
    elif labels is not None:
        carrying_out.write(config, run_id, labels, person, field, form, verbose=verbose)
    elif report:
        wanted = _wanted(target, delta)
        carrying_out.report(config, run_id, evaluator, wanted, person, form, common.flags, verbose=verbose)
    else:
        asked = carrying_out.Asked(run_id, count, evaluator, field, person or user(), blind=blind)
        carrying_out.judge(config, asked, form, common.flags, verbose=verbose)


def _wanted(target: str | None, delta: float) -> Wanted:
    from loom.cli.commands.benchmarks.commands import goal_of
    from loom.labelling.report import GOAL, TARGET, Wanted

    goal, share = goal_of(target) or (GOAL, TARGET)
    return Wanted(goal, share, delta)
