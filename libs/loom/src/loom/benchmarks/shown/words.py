"""Says in words what a benchmark found. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from loom.benchmarks.figures.computed import Figure
from loom.benchmarks.figures.result import Joined, Measured
from loom_common.domain.values.plural import counted


def figure(value: Figure) -> str:
    """Write a figure with its interval, such as `0.599 [0.583, 0.614]`."""
    if value.value is None:
        return "-"
    if value.low is None or value.high is None:
        return f"{value.value:.3f}"
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def joined_lines(joined: Joined) -> Iterator[str]:
    """Say how labels and records were joined: which of either found no other."""
    yield (
        f"{joined.file}: {counted(joined.rows, 'row')} read, {joined.labelled:,} with a label in '{joined.column}'; "
        f"{joined.measured:,} belong to a record."
    )
    if joined.empty:
        yield f"{counted(joined.empty, 'row')} without a label {_are(joined.empty)} left out."
    if joined.without_key:
        yield f"{counted(joined.without_key, 'row')} without a key {_are(joined.without_key)} left out."
    if joined.unmatched:
        examples = ", ".join(joined.unmatched_examples)
        yield f"{counted(joined.unmatched, 'label')} found no record: {examples}{_more(joined)}."
    if joined.unlabelled:
        least = "" if joined.whole else "at least "
        yield f"{least.capitalize()}{counted(joined.unlabelled, 'record')} without a label {_were(joined)} not run."


def stopped_line(measured: Measured) -> str | None:
    """Say what was left out because the run of a candidate was stopped; None where it was not."""
    if measured.stopped is None:
        return None
    return (
        f"{measured.name}: {measured.stopped}; {counted(measured.left_out, 'labelled record')} "
        f"{_were_left(measured.left_out)} not measured. The same command with a higher --budget pays for these alone."
    )


def unstated_line(measured: Measured) -> str | None:
    """Say how many outputs the figures of confidence leave out, because what they state is no probability; None where
    they leave out none."""
    stated = measured.confidence
    left = 0 if stated is None else measured.answered - stated.records
    if stated is None or not left:
        return None
    have = "has" if left == 1 else "have"
    return (
        f"{measured.name}: {counted(left, 'output')} {have} no confidence from 0 to 1; ECE and Brier score are of the "
        f"other {stated.records:,}."
    )


def proposal_line(measured: Measured) -> str | None:
    """Say which threshold the labels propose; None where nobody asked for one."""
    found = measured.proposal
    if found is None:
        return None
    sure = f"with a probability of at least {1 - found.delta:.0%}"
    if found.threshold is None or found.precision is None or found.recall is None:
        return (
            f"{measured.compared}: the labels show of no threshold that it holds a {found.goal} of {found.target:g} "
            f"{sure}. More labels, drawn at random, may."
        )
    return (
        f"{measured.compared}: threshold {found.threshold:g} holds a {found.goal} of {found.target:g} {sure}; on the "
        f"labels: precision {figure(found.precision)}, recall {figure(found.recall)}, {found.passing:.1%} pass"
    )


def _more(joined: Joined) -> str:
    left = joined.unmatched - len(joined.unmatched_examples)
    return f" and {left:,} more" if left else ""


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _were(joined: Joined) -> str:
    return _were_left(joined.unlabelled)


def _were_left(number: int) -> str:
    return "was" if number == 1 else "were"
