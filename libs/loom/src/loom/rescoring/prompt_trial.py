"""Tries another prompt on some records of a run: its price is told first, and nothing is loaded or quarantined."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loom.project.config import LoomConfig
from loom.rescoring import plans
from loom.rescoring.evaluate import ended_run, opened_platform, opened_state, settings_of
from loom.rescoring.outputs import Outputs, Source
from loom.rescoring.stages import isolated, open_trial_models, opened_source
from loom_ai.journal.models import JournalledModels
from loom_ai.providers.dry_run_client import DryRunClient
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.console.numbers import money
from loom_common.contracts.v1 import (
    BatchExtracted,
    BatchHeader,
    BatchTransformed,
    Evaluation,
    ExtractedRecord,
    KeptRecord,
    TransformedRecord,
)
from loom_common.domain.definition.reader import parse
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.run.budget import Budget
from loom_common.domain.run.calls import Calls, summed
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.replaying import Changes, changed
from loom_common.domain.run.tally import Tally
from loom_common.errors import BudgetExhausted, ConfigurationError, PermanentError
from loom_common.flow import Stage
from loom_common.sealed_stages.handlers import SealedStages
from loom_common.service.bootstrap import Platform
from loom_common.user_code.stage_runner import StageRunner
from loom_common.worker.context import Context
from loom_common.worker.usage import Usage
from loom_evaluator.handler import Evaluator
from loom_evaluator.runners import Runners
from loom_transformer.attachments.places import AttachmentPlaces
from loom_transformer.handler import Transformer
from loom_transformer.handling import other_sources
from loom_transformer.lookups.places import LookupPlaces
from loom_transformer.transforms.catalog import Catalog

Agree = Callable[[int, float, Sequence[str]], bool]
"""Is told how many records are tried, what that costs in USD at the most likely, and which models have no known price;
says whether to go on."""


@dataclass(frozen=True, slots=True)
class TriedRecord(Shown):
    """Holds what both prompts came to for one record."""

    record_id: str
    verdict_before: str
    verdict: str
    """`passed`, `rejected` or `error`."""
    reason: str | None
    """Says why it does not pass by the new prompt."""
    before: Mapping[str, Any]
    after: Mapping[str, Any] | None
    """None where the new prompt came to no output."""
    scores_before: Mapping[str, float]
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Tried(Shown):
    """Compares two prompts on some records of a run."""

    run_id: str
    pipeline: str
    records: int
    different: int
    """The number of records whose output is another one."""
    passed_before: int
    passed: int
    expected_cost: float
    """An amount in USD, told before; the next is what was paid."""
    cost: float
    calls_made: int
    calls_reused: int
    tried: Sequence[TriedRecord]


@dataclass(frozen=True, slots=True)
class _Came:
    """Holds what the records came to by one plan."""

    outputs: Mapping[str, Mapping[str, Any]]
    kept: Mapping[str, KeptRecord]
    scores: Mapping[str, Mapping[str, float]]
    calls: tuple[Calls, ...]


Comparable = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Returns an output that can be compared with others, and holds no sensitive value."""


async def try_prompt(
    config: LoomConfig, run_id: str, text: str, sample: int, *, budget: float | None, agree: Agree
) -> Tried | None:
    """Transform `sample` records of a run by another prompt, judge them by the run's evaluators, and compare. Returns
    None where `agree` says no. Answers that the journal holds are not paid for; `budget` is in USD.

    Raises `NotFound`, `InvalidDefinition` for a prompt that cannot be used, and what the stages raise."""
    settings = settings_of(config)
    async with opened_state(settings) as engine, opened_platform(settings) as platform:
        run = await ended_run(engine, config, run_id)
        plan = await platform.plans.get(run.plan)
        if plan.replay is not None:
            raise ConfigurationError(
                f"Run {run_id} ran over records of {plan.replay.run_id} again, and has no source of its own. Try the "
                "prompt on that one."
            )
        tried_by = _plan_of(plan, run.definition, text)
        async with opened_source(engine, platform, run, plan) as source:
            outputs, comparable = await _sample(source, sample), source.comparable
        if not outputs.records:
            raise ConfigurationError(
                f"No output of run {run_id} is to be had any more, so there is nothing to compare."
            )
        records = [ExtractedRecord(each.id, each.input) for each in outputs.records]
        dry = await _came(platform, tried_by, records, JournalledModels(DryRunClient(), MemoryJournal()), None)
        expected = sum(each.cost for each in dry.calls)
        if not agree(len(records), expected, sorted({each.model for each in dry.calls if each.unpriced})):
            return None
        limit = None if budget is None else Budget(limit=budget)
        try:
            came = await _came(platform, tried_by, records, open_trial_models(platform), limit)
        except BudgetExhausted as spent:
            raise PermanentError(
                f"The trial may cost no more than ${spent.limit:g}, and the next call could: {money(spent.gone)} is "
                "spent. What was answered is kept, and not paid for again: repeat the command with a larger --budget."
            ) from None
    return _compared(run_id, run.pipeline_name, outputs, came, expected, comparable)


def _plan_of(plan: Plan, definition: Mapping[str, Any], text: str) -> Plan:
    pipeline = parse(changed(definition, Changes(prompt=text)))
    transform = pipeline.transform.model_copy(update={"on_failure": "quarantine"})
    made: dict[str, Any] = {"transform": transform}
    if pipeline.evaluate is not None:
        made["evaluate"] = pipeline.evaluate.model_copy(update={"on_failure": "quarantine"})
    return plan.model_copy(update={"pipeline": pipeline.model_copy(update=made), "replay": None})


async def _sample(source: Source, sample: int) -> Outputs:
    """Return outputs of so many records: up to half of them were kept back, and the others were loaded."""
    found: dict[str, TransformedRecord] = {}
    before = {}
    for share, stream in ((sample // 2, source.kept(settled=True)), (sample, source.read()), (sample, source.kept())):
        async for outputs in stream:
            for record in outputs.records:
                if len(found) < share and record.id not in found:
                    found[record.id], before[record.id] = record, outputs.before[record.id]
            if len(found) >= share:
                break
    return Outputs(records=tuple(found.values()), before=before)


async def _came(
    platform: Platform,
    plan: Plan,
    records: Sequence[ExtractedRecord],
    models: JournalledModels,
    budget: Budget | None,
) -> _Came:
    """Return what the records come to, transformed and judged by the plan. The models are closed."""
    one, project = plans.OnePlan(plan), platform.project
    places = AttachmentPlaces(platform.settings.allowed, platform.credentials)
    lookups = LookupPlaces(project, platform.settings.allowed, platform.credentials, platform.breakers)
    joined = other_sources(platform)
    making = Catalog(models, project, platform.threads, places, lookups=lookups, sources=joined).transform_of
    sealed = SealedStages(one, platform.keyring)
    transformer = sealed.of(Transformer(StageRunner(one, making, isolated(Stage.TRANSFORM, platform))))
    judging = Runners(project, platform.threads, models).runner_of
    evaluator = sealed.of(Evaluator(StageRunner(one, judging, isolated(Stage.EVALUATE, platform)), models))
    trial = f"trial_{secrets.token_hex(6)}"
    header = BatchHeader(
        run_id=trial, pipeline=plan.pipeline.name, plan="", epoch=1, batch_id=trial, partition=0, slice=0, position=0,
        tally=Tally(),
    )  # fmt: skip
    asking_context, judging_context = Context(usage=Usage(budget)), Context(usage=Usage(budget))
    try:
        async with joined.closing():
            made = await transformer(BatchExtracted(header=header, records=tuple(records)), asking_context)
        kept = {each.record_id: each for each in made.kept}
        evaluations: Sequence[Evaluation] = ()
        if made.records:
            judged = await evaluator(BatchTransformed(header=header, records=made.records), judging_context)
            kept |= {each.record_id: each for each in judged.kept}
            evaluations = judged.evaluations
    finally:
        await lookups.close()
        await models.close()
    scores: dict[str, dict[str, float]] = {}
    for each in evaluations:
        if each.score is not None:
            scores.setdefault(each.record_id, {})[each.name] = each.score
    calls = summed([*asking_context.usage.lines(), *judging_context.usage.lines()])
    return _Came({each.id: each.result for each in made.records}, kept, scores, calls)


def _compared(
    run_id: str, pipeline: str, outputs: Outputs, came: _Came, expected: float, comparable: Comparable
) -> Tried:
    tried = []
    for record in outputs.records:
        was, away = outputs.before[record.id], came.kept.get(record.id)
        verdict = "passed" if away is None else "rejected" if away.code == "gate" else "error"
        tried.append(
            TriedRecord(
                record_id=record.id,
                verdict_before=was.verdict,
                verdict=verdict,
                reason=None if away is None else away.reason,
                before=comparable(record.result),
                after=None if record.id not in came.outputs else comparable(came.outputs[record.id]),
                scores_before=was.scores,
                scores=came.scores.get(record.id, {}),
            )
        )
    return Tried(
        run_id=run_id,
        pipeline=pipeline,
        records=len(tried),
        different=sum(each.before != each.after for each in tried),
        passed_before=sum(each.verdict_before == "passed" for each in tried),
        passed=sum(each.verdict == "passed" for each in tried),
        expected_cost=expected,
        cost=sum(each.cost for each in came.calls),
        calls_made=sum(each.made for each in came.calls),
        calls_reused=sum(each.reused for each in came.calls),
        tried=tried,
    )
