"""Says how far people and evaluators agree on a run, and proposes thresholds from what people said."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from loom.benchmarks.figures.computed import Figure
from loom.labelling.drawing import scored
from loom.labelling.people import OfPeople, agreed, counted, disputed, of_people
from loom.labelling.subject import Subject, subject_of, subjects_of
from loom_common.async_engine import AsyncEngine
from loom_common.domain.json_values.shown import Shown
from loom_common.statistics import stratified
from loom_common.statistics.stratified import Labelled, Strata
from loom_common.statistics.thresholds import Goal
from loom_coordinator.db.outputs import labels
from loom_coordinator.db.outputs.labels import LabelSample, SampledRecord
from loom_coordinator.db.run import Run

DELTA = 0.05
GOAL, TARGET = Goal.PRECISION, 0.9


@dataclass(frozen=True, slots=True)
class Wanted:
    """Says what a proposed threshold has to hold, and how often it may miss it."""

    goal: Goal = GOAL
    target: float = TARGET
    delta: float = DELTA


@dataclass(frozen=True, slots=True)
class ProposedThreshold(Shown):
    """Holds a threshold that the labels speak for, with what it comes to on the run's records."""

    threshold: float
    precision: Figure
    recall: Figure
    passing: float


@dataclass(frozen=True, slots=True)
class OfSubject(Shown):
    """Says how far people agree with an evaluator, or with the gate."""

    subject: str
    threshold: float | None
    borderline: int
    """The number of labels of borderline records, which are judged without a gap from the nearest on."""
    random: int
    """The number of labels of records that were drawn at random from the others."""
    agreement: float | None
    """The share of the run's records on which people and it agree; None where it cannot be told."""
    kappa: Figure
    """Cohen's kappa on the run's records, each label weighed by how many records it stands for."""
    now: ProposedThreshold | None
    """Says what its threshold comes to as it is."""
    proposed: ProposedThreshold | None
    why_not: str | None
    """Says why no threshold is proposed, or no agreement is told."""


@dataclass(frozen=True, slots=True)
class LabelReport(Shown):
    """Compares what people said of a run with what its evaluators said."""

    run_id: str
    pipeline: str
    sample: LabelSample | None
    """Says how the records were drawn; None where only other records were judged."""
    labelled: int
    """The number of records that somebody has judged."""
    passed: int
    """Counts the records that most persons would let through."""
    disputed: int
    """Counts those that as many persons would let through as not. They count as skipped."""
    outside: int
    """Counts those that are left out of the figures, because they were not drawn, or are behind a gap in the order."""
    persons: Mapping[str, int]
    people: Sequence[OfPeople]
    goal: str
    target: float
    delta: float
    subjects: Sequence[OfSubject]


async def report(
    engine: AsyncEngine, run: Run, evaluator: str | None, wanted: Wanted, person: str | None = None
) -> LabelReport:
    """Return the report of a run, by the sample that was drawn for `evaluator`. Its labels weigh what they stand for,
    so that a sample of borderline records does not make the evaluators look worse than they are. With `person`, the
    labels of this person alone count. Raises `ConfigurationError` where there is no such evaluator."""
    main = subject_of(run, evaluator)
    async with engine.connect() as connection:
        if evaluator is None and (drawn_for := await labels.samples(connection, run.run_id)):
            main = subject_of(run, drawn_for[0].subject)
        sample = await labels.sample(connection, run.run_id, main.name)
        drawn = await labels.sampled(connection, run.run_id, main.name)
        said = await labels.of_run(connection, run.run_id, person)
        persons = await labels.persons(connection, run.run_id)
        scores = await labels.scores_of(connection, run.run_id, [each.record_id for each in drawn])
    verdicts = agreed(said)
    whole, by_chance = counted(drawn, verdicts)
    judged = {name for name, verdict in verdicts.items() if verdict is not None}
    used = {each.record_id for each in (*whole, *by_chance)} & judged
    found = []
    for subject in [main, *(each for each in subjects_of(run) if each.name != main.name)]:
        strata = await _strata(engine, run, subject, sample, (whole, by_chance), verdicts, scores)
        found.append(_of_subject(subject, strata, wanted))
    divided = disputed(said)
    return LabelReport(
        run_id=run.run_id,
        pipeline=run.pipeline_name,
        sample=sample,
        labelled=len(judged) + divided,
        passed=sum(verdicts[name] is True for name in judged),
        disputed=divided,
        outside=len(judged) - len(used),
        persons=persons if person is None else {person: persons.get(person, 0)},
        people=of_people(said),
        goal=wanted.goal.value,
        target=wanted.target,
        delta=wanted.delta,
        subjects=found,
    )


async def _strata(
    engine: AsyncEngine,
    run: Run,
    subject: Subject,
    sample: LabelSample | None,
    counting: tuple[Sequence[SampledRecord], Sequence[SampledRecord]],
    verdicts: Mapping[str, bool | None],
    scores: Mapping[str, Mapping[str, float]],
) -> Strata | None:
    """Return the labels with the subject's scores. None where there is no sample, or a record of it lacks a score."""
    if sample is None:
        return None
    strata = []
    for stratum in counting:
        labelled = []
        for each in stratum:
            score = subject.score(scores.get(each.record_id, {}))
            if score is None:
                return None
            labelled.append(Labelled(score, None if each.gone is not None else verdicts.get(each.record_id)))
        strata.append(labelled)
    whole, drawn = strata
    made = Strata(whole, [each for each in drawn if each.right is not None], sample.population - len(whole))
    levels = sorted({subject.limit, *(each.score for each in (*whole, *drawn))})
    above = dict.fromkeys(levels, 0)
    others = 0
    inside = {each.record_id for each in counting[0]}
    async for record_id, score in scored(engine, run.run_id, subject):
        if record_id not in inside:
            others += 1
            place = _reached(levels, score)
            if place >= 0:
                above[levels[place]] += 1
    for place in range(len(levels) - 2, -1, -1):
        above[levels[place]] += above[levels[place + 1]]
    return replace(made, others=others, above=above)


def _reached(levels: Sequence[float], score: float) -> int:
    """Return the place of the highest level that the score reaches; -1 for none."""
    return bisect_right(levels, score) - 1


def _of_subject(subject: Subject, strata: Strata | None, wanted: Wanted) -> OfSubject:
    if strata is None:
        return OfSubject(
            subject.name,
            subject.threshold,
            0,
            0,
            None,
            Figure(None),
            None,
            None,
            "no record that was drawn has a score of it",
        )
    borderline = sum(each.right is not None for each in strata.whole)
    kappa, interval = stratified.kappa(strata, subject.limit)
    now = proposal = None
    why_not = _why_not(strata)
    if why_not is None and subject.threshold is None:
        why_not = "the gate looks at several thresholds; those of its evaluators are proposed one by one"
    elif why_not is None:
        now = _shown(strata, subject.limit)
        chosen = stratified.proposed(strata, wanted.goal, wanted.target, wanted.delta)
        if chosen is None:
            why_not = (
                f"the labels show of no threshold that it holds a {wanted.goal.value} of {wanted.target:g} with a "
                f"probability of {1 - wanted.delta:g}"
            )
        else:
            proposal = _shown(strata, chosen.threshold)
    return OfSubject(
        subject=subject.name,
        threshold=subject.threshold,
        borderline=borderline,
        random=len(strata.drawn),
        agreement=stratified.agreement(strata, subject.limit),
        kappa=Figure.of(kappa, interval),
        now=now,
        proposed=proposal,
        why_not=why_not,
    )


def _why_not(strata: Strata) -> str | None:
    if not strata.is_estimable:
        return (
            "each label stands for a number of records only where borderline records and records drawn at random are "
            "judged in the order in which they are shown"
        )
    outcomes = {each.right for each in (*strata.whole, *strata.drawn)} - {None}
    if outcomes == {False}:
        return "nobody has let a record pass"
    return None


def _shown(strata: Strata, threshold: float) -> ProposedThreshold:
    found = stratified.at(strata, threshold)
    return ProposedThreshold(
        threshold,
        Figure.of(found.precision, found.precision_interval),
        Figure.of(found.recall, found.recall_interval),
        found.passing,
    )
