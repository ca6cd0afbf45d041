"""Finds in the journal what the answers that a run used had cost when they were paid for, and how long they took.

A benchmark that is run again pays nothing, because every answer is in the journal. Its report says all the same what a
record costs: the transform and the judges are taken through the labelled records once more, and where they would ask a
model they are given the journal's entry. Whatever is not there is left out, and never asked for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom_ai.journal.models import JournalledModels
from loom_ai.ports import Entry, Journal, Kept, ModelAnswer, ModelCall, Waits
from loom_ai.stores.beside_journal import open_journal
from loom_common.contracts.v1 import ExtractedRecord, TransformedRecord
from loom_common.domain.checks.cascade_file import bands_of_evaluators
from loom_common.domain.definition.evaluators import ModelJudged
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.model_options.params import resolved
from loom_common.domain.run.plan import Plan
from loom_common.errors import ConfigurationError, LoomError, RecordError
from loom_common.worker.context import Context
from loom_evaluator.runner import EvaluatorRunner
from loom_transformer.attachments.places import AttachmentPlaces
from loom_transformer.transforms.cascade import CheapAnswer
from loom_transformer.transforms.catalog import Catalog

_BATCH = 500


@dataclass(frozen=True, slots=True)
class PaidAnswers:
    """Holds what the answers of one stage had cost, as the journal tells."""

    answers: int
    cost: float
    """Holds the cost in USD."""
    seconds: Mapping[str, float]
    """Holds the seconds from question to answer, added up, by the id of the record that asked."""
    unknown: int
    """The number of records whose answers are not in the journal."""


async def of_transform(
    run_id: str, loaded: LoadedPipeline, config: LoomConfig, records: Mapping[str, dict[str, Any]], params: Any
) -> PaidAnswers | None:
    """Return what the answers that made the outputs of these records had cost; None where no model was asked, or the
    journal cannot be read."""
    if not isinstance(loaded.pipeline.transform, AiTransformConfig):
        return None
    plan = _plan(loaded, config, params)

    async def asked(models: JournalledModels, some: Sequence[ExtractedRecord], context: Context) -> None:
        places = AttachmentPlaces(config.allowed, config.secrets)
        transform = Catalog(models, config.project.resolve(), places=places).transform_of(plan)
        if transform is not None:
            await transform.apply(run_id, some, context)

    return await _answers(config, [ExtractedRecord(id=name, input=data) for name, data in records.items()], asked)


async def of_cheap_tier(
    run_id: str, loaded: LoadedPipeline, config: LoomConfig, records: Mapping[str, dict[str, Any]], params: Any
) -> dict[str, CheapAnswer]:
    """Return what the cheap tier of the transform's cascade said of records in a run, as the journal tells."""
    plan = _plan(loaded, config, params)
    found: dict[str, CheapAnswer] = {}

    async def asked(models: JournalledModels, some: Sequence[ExtractedRecord], context: Context) -> None:
        places = AttachmentPlaces(config.allowed, config.secrets)
        catalog = Catalog(models, config.project.resolve(), places=places)
        answers = await catalog.cheap_tier(plan).answers(run_id, some, context)
        found.update(zip((each.id for each in some), answers, strict=True))

    given = [ExtractedRecord(id=name, input=data) for name, data in records.items()]
    if await _answers(config, given, asked) is None:
        raise ConfigurationError("The journal, which has the answers of the cheap tier, cannot be read.")
    return found


async def of_judges(
    run_id: str,
    loaded: LoadedPipeline,
    config: LoomConfig,
    records: Mapping[str, dict[str, Any]],
    outputs: Mapping[str, Mapping[str, Any]],
    params: Any,
) -> PaidAnswers | None:
    """Return what the judgements of these outputs had cost; None where no model judges, or the journal cannot be
    read."""
    evaluate = loaded.pipeline.evaluate
    judges = [each for each in (evaluate.evaluators if evaluate else ()) if isinstance(each, ModelJudged)]
    if evaluate is None or not judges:
        return None
    judged = evaluate.model_copy(update={"evaluators": judges})
    plan = _plan(loaded, config, params)

    async def asked(models: JournalledModels, some: Sequence[TransformedRecord], context: Context) -> None:
        runner = EvaluatorRunner(
            judged,
            config.project.resolve() / plan.base,
            models=models,
            reuse=plan.reuse,
            providers=plan.pipeline.providers,
            pipeline=plan.pipeline.name,
            bands=bands_of_evaluators(plan),
        )
        await runner.judge(run_id, some, context)

    made = [
        TransformedRecord(id=name, input=records[name], output=dict(output))
        for name, output in outputs.items()
        if name in records
    ]
    return await _answers(config, made, asked)


def _plan(loaded: LoadedPipeline, config: LoomConfig, params: Any) -> Plan:
    values = resolved(loaded.pipeline.params, dict(params))
    return Plan(pipeline=loaded.pipeline, files=loaded.files, base=config.base_of(loaded.folder), params=values)


async def _answers(config: LoomConfig, records: Sequence[Any], asked: Any) -> PaidAnswers | None:
    journal = _Read(open_journal(config.settings().journal.url.get_secret_value(), config.project))
    models = JournalledModels(_NobodyAsked(), journal)
    entered: list[tuple[str, str]] = []
    try:
        for begin in range(0, len(records), _BATCH):
            context = Context()
            await asked(models, records[begin : begin + _BATCH], context)
            entered += context.usage.answers
    except LoomError:
        return None
    finally:
        await models.close()
    seconds: dict[str, float] = {}
    for key, record_id in entered:
        if (entry := journal.found.get(key)) is not None:
            seconds[record_id] = seconds.get(record_id, 0.0) + entry.answer.latency
    keys = {key for key, _ in entered} & journal.found.keys()
    cost = sum(journal.found[key].cost for key in keys)
    return PaidAnswers(len(keys), cost, seconds, len(records) - len(seconds))


class _Read(Journal):
    """Reads a journal, remembers what was found, and writes nothing."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.found: dict[str, Entry] = {}

    async def get_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        found = await self._journal.get_many(keys)
        self.found.update(found)
        return found

    async def put_many(self, entries: Sequence[Entry]) -> None:
        return None

    async def kept(self) -> list[Kept]:
        return await self._journal.kept()

    async def clear(self, before: dt.datetime | None = None, model: str | None = None) -> int:
        return 0

    async def close(self) -> None:
        await self._journal.close()


class _NobodyAsked:
    """Refuses every question: only the journal answers."""

    async def complete(self, call: ModelCall, waits: Waits | None = None) -> ModelAnswer:
        raise RecordError("The answer is not in the journal", code="not_journalled")

    async def close(self) -> None:
        return None
