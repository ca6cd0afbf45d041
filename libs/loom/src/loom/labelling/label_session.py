"""Gives a person the records of a sample one after the other, and keeps what the person says.

It is the same for the terminal, the console and the API: each of them only asks here and shows the answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from loom.labelling import contents, drawing
from loom.labelling.drawing import MOST, SHARE
from loom.labelling.subject import Subject, subject_of
from loom.project.config import LoomConfig
from loom.rescoring.evaluate import ended_run, opened_platform, opened_state, settings_of
from loom_common.async_engine import AsyncEngine
from loom_common.domain.json_values.shown import Shown
from loom_common.errors import ConfigurationError, NotFound
from loom_common.text import storable
from loom_coordinator.db.outputs import labels
from loom_coordinator.db.outputs.labels import FAIL, PASS, SKIP, Label, LabelSample, RecordContents, SampledRecord
from loom_coordinator.db.run import Run
from loom_coordinator.queries import records
from loom_coordinator.queries.records import Score

COUNT = 50
"""The number of records of a sample where nothing else is said."""
LONGEST_COMMENT = 4_000
LONGEST_NAME = 255
VERDICTS = (PASS, FAIL, SKIP)


@dataclass(frozen=True, slots=True)
class Progress(Shown):
    """Says how far one person has come with a sample."""

    sample: LabelSample
    person: str
    records: int
    """The number of records of the sample that can be judged."""
    judged: int
    skipped: int
    gone: int
    """The number of records whose output is no longer to be had."""


@dataclass(frozen=True, slots=True)
class ToJudge(Shown):
    """Holds a record with all that a person needs to judge it."""

    record: SampledRecord
    contents: RecordContents
    scores: Sequence[Score]
    label: Label | None
    """Holds what the same person has said of it before."""


class LabelSession:
    """Serves one person and one sample of a run. Open with `opened_session`."""

    def __init__(self, engine: AsyncEngine, run: Run, subject: Subject, person: str, via: str) -> None:
        self.engine = engine
        self.run = run
        self.subject = subject
        self.person = person
        self._via = via

    async def progress(self) -> Progress:
        """Return how far the person has come. Raises `NotFound` where no sample was drawn."""
        async with self.engine.connect() as connection:
            sample = await labels.sample(connection, self.run.run_id, self.subject.name)
            if sample is None:
                raise NotFound(
                    f"No records of run {self.run.run_id} were drawn for {self.subject.name}. Draw some: loom label "
                    f"{self.run.run_id} --evaluator {self.subject.name}."
                )
            drawn = await labels.sampled(connection, self.run.run_id, self.subject.name)
            said = {each.record_id: each for each in await labels.of_run(connection, self.run.run_id, self.person)}
        there = [each.record_id for each in drawn if each.gone is None]
        mine = [said[name].verdict for name in there if name in said]
        return Progress(
            sample=sample,
            person=self.person,
            records=len(there),
            judged=sum(verdict != SKIP for verdict in mine),
            skipped=mine.count(SKIP),
            gone=len(drawn) - len(there),
        )

    async def next(self) -> ToJudge | None:
        """Return the first record of the sample on which the person has not said anything; None after the last one."""
        async with self.engine.connect() as connection:
            drawn = await labels.sampled(connection, self.run.run_id, self.subject.name)
            said = {each.record_id for each in await labels.of_run(connection, self.run.run_id, self.person)}
        record = next((each for each in drawn if each.gone is None and each.record_id not in said), None)
        return None if record is None else await self._to_judge(record)

    async def record(self, record_id: str) -> ToJudge:
        """Return one record of the sample. Raises `NotFound` where it is not in it, or its output is gone."""
        return await self._to_judge(await self._drawn(record_id))

    async def say(self, record_id: str, verdict: str, comment: str | None = None, expected: str | None = None) -> Label:
        """Keep what the person says of a record, in the place of what the person has said before. Raises `NotFound` for
        a record that is not in the sample, and `ConfigurationError` for a verdict that is none."""
        record = await self._drawn(record_id)
        label = Label(
            record_id=record_id,
            person=self.person,
            verdict=checked_verdict(verdict),
            comment=checked_text(comment, "comment"),
            expected=checked_text(expected, "expected"),
            stratum=record.stratum,
            probability=record.probability,
            via=self._via,
            labelled_at=dt.datetime.now(dt.UTC),
        )
        async with self.engine.begin() as connection:
            await labels.keep(connection, self.run.run_id, [label.as_json() | {"labelled_at": label.labelled_at}])
        return label

    async def undo(self) -> Label | None:
        """Take back what the person has said last of a record of the sample, and return it; None where there is
        nothing."""
        async with self.engine.begin() as connection:
            label = await labels.last(connection, self.run.run_id, self.subject.name, self.person)
            if label is not None:
                await labels.remove(connection, self.run.run_id, label.record_id, self.person)
        return label

    async def _drawn(self, record_id: str) -> SampledRecord:
        async with self.engine.connect() as connection:
            drawn = await labels.sampled(connection, self.run.run_id, self.subject.name)
        record = next((each for each in drawn if each.record_id == record_id), None)
        if record is None:
            raise NotFound(
                f"The record {record_id} is not in the sample of run {self.run.run_id} that was drawn for "
                f"{self.subject.name}."
            )
        if record.gone is not None:
            raise NotFound(f"The record {record_id} cannot be judged: {record.gone}.")
        return record

    async def _to_judge(self, record: SampledRecord) -> ToJudge:
        run_id = self.run.run_id
        async with self.engine.connect() as connection:
            found = await labels.contents(connection, run_id, record.record_id)
            scores = await records.scores(connection, run_id, record.record_id)
            said = await labels.of_run(connection, run_id, self.person)
        label = next((each for each in said if each.record_id == record.record_id), None)
        return ToJudge(record, found or RecordContents(None, None), scores, label)


@asynccontextmanager
async def opened_session(
    config: LoomConfig, run_id: str, evaluator: str | None, person: str, via: str
) -> AsyncIterator[LabelSession]:
    """Open the place where a person judges records of a run that has ended. Raises `NotFound` and
    `ConfigurationError`."""
    async with opened_state(settings_of(config)) as engine:
        run = await ended_run(engine, config, run_id)
        yield LabelSession(engine, run, subject_of(run, evaluator), checked_person(person), via)


async def draw(config: LoomConfig, run_id: str, evaluator: str | None, person: str, count: int | None) -> LabelSample:
    """Draw the sample, or a larger one in the place of a smaller one, and find the contents of its records. Without
    `count`, the sample that was drawn before is taken, else one of `COUNT`. Raises `NotFound`, `ConfigurationError`,
    and what reading the source raises."""
    if count is not None and not 1 <= count <= MOST:
        raise ConfigurationError(f"A sample has 1 to {MOST:,} records, not {count:,}.")
    settings = settings_of(config)
    async with opened_state(settings) as engine, opened_platform(settings) as platform:
        run = await ended_run(engine, config, run_id)
        subject = subject_of(run, evaluator)
        async with engine.connect() as connection:
            sample = await labels.sample(connection, run_id, subject.name)
            held = len(await labels.sampled(connection, run_id, subject.name))
        if sample is None or (count is not None and held < min(count, sample.population)):
            sample = await drawing.draw(engine, run_id, subject, count or COUNT, SHARE, checked_person(person))
        await contents.keep_contents(engine, platform, run, subject.name)
        return sample


def checked_verdict(verdict: str) -> str:
    """Return the verdict. Raises `ConfigurationError` where it is none."""
    if verdict not in VERDICTS:
        raise ConfigurationError(f"{verdict!r} is no verdict; expected {', '.join(VERDICTS)}.")
    return verdict


def checked_person(name: str) -> str:
    """Return the name of a person. Raises `ConfigurationError` where it is empty or too long."""
    words = " ".join(storable(name).split())
    if not words or len(words) > LONGEST_NAME:
        raise ConfigurationError(f"The name of a person has 1 to {LONGEST_NAME} characters, not {len(words):,}.")
    return words


def checked_text(text: str | None, what: str) -> str | None:
    """Return what a person wrote; None for nothing. Raises `ConfigurationError` where it is too long."""
    words = "" if text is None else storable(text).strip()
    if len(words) > LONGEST_COMMENT:
        raise ConfigurationError(f"`{what}` has {len(words):,} characters; at most {LONGEST_COMMENT:,} are kept.")
    return words or None
