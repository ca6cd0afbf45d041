"""Shows records to people who judge them, and what their labels come to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.text import Text

from loom.benchmarks.figures.computed import Figure
from loom.cli.output import terminal
from loom.cli.output.formats import Format
from loom.cli.output.tables import Column, print_rows
from loom.labelling.files import Imported, Written
from loom.labelling.label_session import Progress, ToJudge
from loom.labelling.report import LabelReport, OfSubject
from loom.labelling.subject import Subject
from loom_common.domain.values.plural import counted
from loom_coordinator.db.outputs.labels import BORDERLINE, LabelSample

_LONGEST = 2_000
"""The most characters of a value that are shown before `m` is pressed."""


def how_drawn(sample: LabelSample, threshold: str) -> Iterator[str]:
    """Yield how the records of a sample were drawn."""
    yield (
        f"The sample of {sample.run_id}: the {counted(sample.borderline, 'record')} nearest to {threshold}, and "
        f"{counted(sample.random, 'draw')} at random from all {sample.population:,} that were scored."
    )


def record(shown: ToJudge, subject: Subject, field: str | None, *, blind: bool, whole: bool) -> Iterator[Text]:
    """Yield what a person sees of a record. Contents are plain text, whatever they look like."""
    output = shown.contents.output
    yield from _part("input", shown.contents.record_data, whole=whole)
    if field is not None and isinstance(output, dict):
        yield from _part(f"output: {field}", output.get(field), whole=whole)
        output = {name: value for name, value in output.items() if name != field}
        yield from _part("other output", output, whole=whole)
    else:
        yield from _part("output", output, whole=whole)
    if blind:
        return
    yield Text(why_shown(shown, subject), style="bold")
    for score in shown.scores:
        value = "no score" if score.score is None else f"{score.score:.2f}"
        limit = "" if score.threshold is None else f", threshold {score.threshold:g}"
        yield Text(f"  {score.evaluator_name}: {value}{limit}")
        for line in _cut(score.explanation or "", whole=whole).splitlines():
            yield Text(f"    {line}")
    if shown.label is not None and shown.label.comment:
        yield Text(f"your comment: {shown.label.comment}")


def why_shown(shown: ToJudge, subject: Subject) -> str:
    """Say why the record is in the sample, and on which side of the threshold it is."""
    side = what_they_said(shown, subject)
    if shown.record.stratum == BORDERLINE:
        return f"borderline: {side}"
    return f"drawn at random: {side}"


def what_they_said(shown: ToJudge, subject: Subject) -> str:
    """Say what the evaluators came to."""
    side = "above" if shown.record.margin >= 0 else "below"
    passes = "passes" if shown.record.margin >= 0 else "does not pass"
    return f"it {passes}, {abs(shown.record.margin):.3g} {side} {subject.words}"


def left_off(progress: Progress, flags: str) -> Iterator[str]:
    """Yield how far the person has come, and what follows."""
    run = progress.sample.run_id
    left = progress.records - progress.judged - progress.skipped
    skipped = f", {progress.skipped:,} skipped" if progress.skipped else ""
    yield f"{progress.person} has judged {progress.judged:,} of {counted(progress.records, 'record')}{skipped}."
    if progress.gone:
        yield f"{counted(progress.gone, 'record')} cannot be judged: the output is no longer to be had."
    if left:
        yield f"  loom label {run}{flags}             go on where you stopped"
    yield f"  loom label {run} --report{flags}    how far the evaluators agree with you"


def imported(made: Imported) -> Iterator[str]:
    """Yield what an import came to."""
    yield f"{counted(made.kept, 'label')} stored of {counted(made.rows, 'row')} of {made.file}."
    if made.replaced:
        yield f"  {made.replaced:,} of them replace another verdict of the same person."
    if made.empty:
        yield f"  {counted(made.empty, 'row')} without a verdict."
    if made.unknown:
        yield (
            f"  {counted(made.unknown, 'row')} of records that run {made.run_id} has not scored, e.g. "
            f"{', '.join(made.unknown_examples)}."
        )


def written(made: Written) -> Iterator[str]:
    """Say how many records with labels were written to which file."""
    yield f"{counted(made.records, 'record')} with labels in {made.file}."
    if made.disputed:
        yield f"  {counted(made.disputed, 'record')} left out: as many persons let them pass as not."


def print_report(found: LabelReport, flags: str) -> None:
    """Print how far people and evaluators agree, and what follows from it."""
    screen = terminal.stdout()
    for line in _labels(found):
        screen.print(line, markup=False, soft_wrap=True)
    screen.print()
    rows = [_row(each) for each in found.subjects]
    columns = [
        Column("subject", "evaluator", keep=True),
        Column("threshold", "threshold", _plain, number=True),
        Column("borderline", "borderline", terminal.count, number=True, optional=True),
        Column("random", "random", terminal.count, number=True, optional=True),
        Column("agreement", "agree", _share, number=True),
        Column("kappa", "kappa", keep=True),
        Column("precision", "precision", keep=True),
        Column("recall", "recall", keep=True),
    ]
    print_rows(rows, columns, Format.TABLE, "")
    if found.people:
        screen.print()
        people = [
            Column("one", "person", keep=True),
            Column("other", "and", keep=True),
            Column("records", "records", terminal.count, number=True),
            Column("agreement", "agree", _share, number=True),
            Column("kappa", "kappa", _figure, keep=True),
        ]
        print_rows(found.people, people, Format.TABLE, "")
    screen.print()
    for line in proposals(found, flags):
        screen.print(line, markup=False, soft_wrap=True)


def _labels(found: LabelReport) -> Iterator[str]:
    persons = ", ".join(f"{name} {number:,}" for name, number in found.persons.items())
    yield (
        f"{found.run_id} of {found.pipeline}: {counted(found.labelled, 'record')} judged ({persons or 'by nobody'}), "
        f"{found.passed:,} would pass."
    )
    if (sample := found.sample) is not None:
        yield (
            f"Drawn for {sample.subject}: the {sample.borderline:,} nearest to its threshold, and "
            f"{counted(sample.random, 'draw')} at random from {sample.population:,} scored records. Each label counts "
            "for as many records as it stands for."
        )
    if found.disputed:
        yield f"On {counted(found.disputed, 'record')} people are divided; they count as skipped."
    if found.outside:
        yield (
            f"{counted(found.outside, 'label')} do not count: the record was not drawn, or one that is shown before it "
            "is not judged yet."
        )


def proposals(found: LabelReport, flags: str) -> Iterator[str]:
    """Yield the thresholds that are proposed, and the commands that follow. Pure."""
    wanted = f"{found.goal} of {found.target:g} with a probability of {1 - found.delta:g}"
    chosen = []
    for each in found.subjects:
        if each.proposed is not None:
            chosen.append(each)
            held = each.proposed
            yield (
                f"{each.subject}: {held.threshold:g} holds a {wanted}: precision {_figure(held.precision)}, recall "
                f"{_figure(held.recall)}, {held.passing:.1%} pass."
            )
        else:
            yield f"{each.subject}: no threshold is proposed, because {each.why_not}."
    yield ""
    yield "Next"
    for each in chosen:
        assert each.proposed is not None
        command = f"loom evaluate {found.run_id} --threshold {each.subject}={each.proposed.threshold:.12g}{flags}"
        yield f"  {command}    whose verdict would change; --apply does it"
    if not chosen:
        yield f"  loom label {found.run_id} --count {_more(found)}{flags}    more labels show more"
    yield f"  loom label {found.run_id} --labels labels.csv{flags}    the labels as a file"
    yield "  loom bench calibrate FILE --evaluator NAME --labels labels.csv --label verdict --output NAME.json"


def _more(found: LabelReport) -> int:
    held = 0 if found.sample is None else found.sample.borderline + found.sample.random
    return max(50, 2 * held)


def _row(each: OfSubject) -> dict[str, Any]:
    return {
        "subject": each.subject,
        "threshold": each.threshold,
        "borderline": each.borderline,
        "random": each.random,
        "agreement": each.agreement,
        "kappa": _figure(each.kappa),
        "precision": "-" if each.now is None else _figure(each.now.precision),
        "recall": "-" if each.now is None else _figure(each.now.recall),
    }


def _part(title: str, value: Any, *, whole: bool) -> Iterator[Text]:
    yield Text(title, style="bold")
    if isinstance(value, dict):
        for name, each in value.items():
            lines = _cut(_text(each), whole=whole).splitlines() or [""]
            yield Text(f"  {name}: {lines[0]}")
            for line in lines[1:]:
                yield Text(f"    {line}")
    else:
        for line in _cut(_text(value), whole=whole).splitlines() or [""]:
            yield Text(f"  {line}")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2 if isinstance(value, dict | list) else None, default=str)


def _cut(text: str, *, whole: bool) -> str:
    if whole or len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST]} [... {len(text) - _LONGEST:,} more characters: m]"


def _figure(figure: Figure) -> str:
    if figure.value is None:
        return "-"
    return f"{figure.value:.3f}" if figure.low is None else f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
