"""The options that choose quarantined records, spelled once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from loom_common.flow import Stage

if TYPE_CHECKING:
    from loom_quarantine.looking import Chosen

OfPipeline = Annotated[str | None, typer.Option("--pipeline", metavar="NAME", help="Only this pipeline's.")]
OfRun = Annotated[str | None, typer.Option("--run-id", metavar="RUN", help="Only this run's.")]
AtStage = Annotated[Stage | None, typer.Option("--stage", help="Only those kept back at this stage.")]
ForReason = Annotated[
    str | None, typer.Option("--reason", metavar="WORDS", help="Only those whose reason has these words, or this code.")
]
ByEvaluator = Annotated[
    str | None, typer.Option("--evaluator", metavar="NAME", help="Only those it scored, or failed on.")
]
LeastScore = Annotated[
    float | None, typer.Option("--min-score", min=0, max=1, help="Only those that --evaluator gave at least so much.")
]
MostScore = Annotated[
    float | None, typer.Option("--max-score", min=0, max=1, help="Only those that --evaluator gave at most so much.")
]
Unresolved = Annotated[bool, typer.Option("--unresolved", help="Only those that still wait.")]
RecordIds = Annotated[
    str | None, typer.Option("--record-ids", metavar="ID,ID...", help="Only these. Default: all that are unresolved.")
]


def chosen(
    *,
    pipeline: str | None = None,
    run_id: str | None = None,
    record_ids: str | None = None,
    stage: Stage | None = None,
    reason: str | None = None,
    evaluator: str | None = None,
    min_score: float | None = None,
    max_score: float | None = None,
    unresolved: bool = False,
) -> Chosen:
    """The records that the options mean. Raises `typer.BadParameter` for a score of nobody."""
    from loom_quarantine.looking import Chosen

    if evaluator is None and (min_score, max_score) != (None, None):
        raise typer.BadParameter("a score needs an evaluator: add --evaluator NAME", param_hint="--min-score")
    return Chosen(
        pipeline=pipeline,
        run_id=run_id,
        record_ids=ids_of(record_ids),
        stage=stage,
        reason=reason,
        evaluator=evaluator,
        min_score=min_score,
        max_score=max_score,
        unresolved=unresolved,
    )


def ids_of(text: str | None) -> tuple[str, ...] | None:
    """`a,b` as ids; None where none are named."""
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else None


def pairs_of(texts: list[str], option: str) -> dict[str, str]:
    """`NAME=VALUE`, several times. Raises `typer.BadParameter`."""
    wrong = [text for text in texts if not text.partition("=")[1] or text.startswith("=")]
    if wrong:
        raise typer.BadParameter(f"'{wrong[0]}' is not NAME=VALUE", param_hint=option)
    return dict(text.split("=", 1) for text in texts)
