"""Defines the options that choose quarantined records, each in one place."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from loom_common.flow import Stage

if TYPE_CHECKING:
    from loom_quarantine.queries import RecordFilter

OfPipeline = Annotated[str | None, typer.Option("--pipeline", metavar="NAME", help="Only this pipeline's.")]
OfRun = Annotated[str | None, typer.Option("--run-id", metavar="RUN", help="Only this run's; `latest` is the newest.")]
AtStage = Annotated[Stage | None, typer.Option("--stage", help="Only those kept back at this stage.")]
ForReason = Annotated[
    str | None, typer.Option("--reason", metavar="WORDS", help="Only those whose reason has these words, or this code.")
]
ByEvaluator = Annotated[
    str | None, typer.Option("--evaluator", metavar="NAME", help="Only those it scored, or failed on.")
]
LeastScore = Annotated[
    float | None,
    typer.Option("--min-score", metavar="X", min=0, max=1, help="Only those that --evaluator gave at least so much."),
]
MostScore = Annotated[
    float | None,
    typer.Option("--max-score", metavar="X", min=0, max=1, help="Only those that --evaluator gave at most so much."),
]
Unresolved = Annotated[bool, typer.Option("--unresolved", help="Only those that still wait.")]
RecordIds = Annotated[
    str | None, typer.Option("--record-ids", metavar="ID,ID...", help="Only these. Default: all that are unresolved.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ByCause:
    """Holds the options that choose records by why they were kept back."""

    stage: AtStage = None
    reason: ForReason = None
    evaluator: ByEvaluator = None
    min_score: LeastScore = None
    max_score: MostScore = None

    @property
    def by_cause(self) -> bool:
        """Tell whether any is asked for."""
        return any(each is not None for each in (self.stage, self.reason, self.evaluator))

    def _chosen(self, *, pipeline: str | None, run_id: str | None, names: str | None, unresolved: bool) -> RecordFilter:
        """Raises `typer.BadParameter` for a score of nobody, and for an option that is given and says nothing."""
        from loom_quarantine.queries import RecordFilter

        for option, words in (("--reason", self.reason), ("--evaluator", self.evaluator)):
            if words is not None and not words.strip():
                raise typer.BadParameter("it is empty", param_hint=option)
        if self.evaluator is None and (self.min_score, self.max_score) != (None, None):
            raise typer.BadParameter("a score needs an evaluator: add --evaluator NAME", param_hint="--min-score")
        return RecordFilter(
            pipeline=pipeline,
            run_id=run_id,
            record_ids=_ids_of(names),
            stage=self.stage,
            reason=self.reason,
            evaluator=self.evaluator,
            min_score=self.min_score,
            max_score=self.max_score,
            unresolved=unresolved,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Which(ByCause):
    """Holds the options that choose among all the records that are kept."""

    pipeline: OfPipeline = None
    run_id: OfRun = None
    unresolved: Unresolved = False

    def chosen(self) -> RecordFilter:
        """Return the filter that the options mean."""
        return self._chosen(pipeline=self.pipeline, run_id=self.run_id, names=None, unresolved=self.unresolved)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfOneRun(ByCause):
    """Holds the options that choose among the records of one run."""

    record_ids: RecordIds = None

    @property
    def everything(self) -> bool:
        """Tell whether nothing is asked for, so that all of them are meant."""
        return self.record_ids is None and not self.by_cause

    def of(self, run_id: str) -> RecordFilter:
        """Return the filter that the options mean, also of those that are resolved."""
        return self._chosen(pipeline=None, run_id=run_id, names=self.record_ids, unresolved=False)

    def waiting_of(self, run_id: str) -> RecordFilter:
        """Return the filter that the options mean, of those that still wait."""
        return self._chosen(pipeline=None, run_id=run_id, names=self.record_ids, unresolved=True)


def options_of(meant: RecordFilter) -> str:
    """Write a filter as the options that a person would type, without the run."""
    named: dict[str, object] = {
        "--record-ids": None if meant.record_ids is None else ",".join(meant.record_ids),
        "--stage": meant.stage,
        "--reason": meant.reason,
        "--evaluator": meant.evaluator,
        "--min-score": meant.min_score,
        "--max-score": meant.max_score,
    }
    typed = [f"{option} {shlex.quote(str(value))}" for option, value in named.items() if value is not None]
    return f"`{' '.join(typed)}`" if typed else ""


def _ids_of(text: str | None) -> tuple[str, ...] | None:
    """Read `a,b` as ids; return None where the option is not given. Raises `typer.BadParameter` where it names none: a
    variable of a shell may be empty, and no record is not every record."""
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise typer.BadParameter("it names no record", param_hint="--record-ids")
    return names


def pairs_of(texts: list[str], option: str) -> dict[str, str]:
    """Read `NAME=VALUE`, which may be given several times. Raises `typer.BadParameter`."""
    wrong = [text for text in texts if not text.partition("=")[1] or text.startswith("=")]
    if wrong:
        raise typer.BadParameter(f"'{wrong[0]}' is not NAME=VALUE", param_hint=option)
    return dict(text.split("=", 1) for text in texts)
