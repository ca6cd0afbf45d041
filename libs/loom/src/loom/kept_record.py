"""Collects all that is known of one record that was kept back: what went in, what was asked and answered, what it cost.

The quarantine's table holds the record, run state its scores, the journal its calls and the payload store its plan. The
services that own them do not know of each other, so their answers are put together here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from loom.project.config import LoomConfig
from loom_common.async_engine import AsyncEngine
from loom_common.domain.definition.reader import parse
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.definition.transforms.step_fields import made_by
from loom_common.domain.json_values.shown import Shown, as_json, unmasked_json
from loom_common.domain.question.template import QuestionTemplate
from loom_common.domain.run.plan import Plan
from loom_common.domain.steps.views import TRANSFORM, by_step
from loom_common.errors import LoomError
from loom_common.sealing.keyring import Keyring
from loom_common.sealing.sealer import Sealer
from loom_common.service.bootstrap import open_payloads
from loom_coordinator.db import run_rows
from loom_coordinator.db.run import Run
from loom_coordinator.queries import records
from loom_coordinator.queries.records import Answer, AnsweredBy, CallsForRecord, Score
from loom_migrations.engine import open_engine
from loom_quarantine import queries
from loom_quarantine.queries import WholeRecord


@dataclass(frozen=True, slots=True)
class KeptTime(Shown):
    """Represents one time that a record was kept back."""

    run_id: str
    failure_stage: str
    failure_reason: str
    quarantined_at: str
    """A time in ISO 8601, in UTC."""


@dataclass(frozen=True, slots=True)
class RecordStory(Shown):
    """Represents one record that was kept back, as a run kept it back, with what came before and after."""

    row: WholeRecord
    prompt: str | None
    """The question that was asked, or would have been; None where none can be made of the record."""
    scores: Sequence[Score]
    calls: Sequence[CallsForRecord] | None
    """Says what was paid for it; None where the journal cannot tell record by record."""
    replay_of: str | None
    """The run whose quarantined records that run ran over again."""
    replays: Sequence[KeptTime]
    """Times that a later replay kept it back again, the newest first."""
    kept_before: Sequence[KeptTime]
    """Times that it had been kept back before, the newest first."""
    answered_by: AnsweredBy | None = None
    """Says what gave its output, where there was a choice."""

    @property
    def cost(self) -> float | None:
        """Return the cost in USD; None where it is not known."""
        return None if self.calls is None else sum(each.cost for each in self.calls)

    @property
    def derived_from(self) -> dict[str, Any] | None:
        """Return the record that a step of the transform made it of, the step, and of how many records it was made;
        None for a record of the source."""
        derived = self.row.derived
        if derived is None:
            return None
        return {"parent": derived["parent"], "step": derived["step"], "members": derived.get("members", 1)}

    @property
    def details(self) -> dict[str, Any]:
        """Return what the stage said of the failure besides its reason, without the prompt."""
        return {name: value for name, value in (self.row.error_details or {}).items() if name != "prompt"}

    def as_json(self) -> dict[str, Any]:
        """Return the document of `loom quarantine show --format json`."""
        row = self.row
        resolved_by = row.replay_run_id if row.resolution_action in ("reprocessed", "manual_fix", "rescored") else None
        return {
            "record_id": row.record_id,
            "run_id": row.run_id,
            "pipeline": row.pipeline_name,
            "stage": row.failure_stage,
            "outcome": row.outcome,
            "code": row.code,
            "reason": row.failure_reason,
            "details": self.details,
            "input": row.record_data,
            "prompt": self.prompt,
            "output": row.output,
            "answered_by": as_json(self.answered_by),
            "scores": as_json(self.scores),
            "attempts": row.attempts,
            "calls": as_json(self.calls),
            "cost": self.cost,
            "quarantined_at": row.quarantined_at,
            "resolved": row.resolved,
            "resolved_at": row.resolved_at,
            "resolution_action": row.resolution_action,
            "derived_from": self.derived_from,
            "replay_of": self.replay_of,
            "resolved_by": resolved_by,
            "replays": as_json(self.replays),
            "kept_before": as_json(self.kept_before),
        }


async def story(
    engine: AsyncEngine, config: LoomConfig, record_id: str, run_id: str | None, *, reveal: bool = False
) -> RecordStory | None:
    """Return the record as `run_id` kept it back, or as it was kept back last, with all other times. None where it was
    not kept back. With `reveal`, sensitive fields are in clear: raises `ConfigurationError` and `PermanentError` where
    their key cannot be used here."""
    thread = await queries.history(engine, record_id, run_id, unmasked_json if reveal else as_json)
    row = next((each for each in thread if run_id in (None, each.run_id)), None)
    if row is None:
        return None
    async with engine.connect() as connection:
        run = await run_rows.find(connection, row.run_id)
        scores: Sequence[Score] = await records.scores(connection, row.run_id, record_id)
        answered_by = await records.answered_by(connection, row.run_id, record_id)
    if reveal and run is not None:
        row, scores = await _revealed(config, run, row, scores)
    return RecordStory(
        row=row,
        prompt=(row.error_details or {}).get("prompt")
        or await question(config, run, row.record_data, row.output, (row.error_details or {}).get("step")),
        scores=scores,
        calls=await calls(config, row.run_id, record_id),
        replay_of=run.replay_of if run else None,
        replays=[_time(each) for each in thread if each.id > row.id],
        kept_before=[_time(each) for each in thread if each.id < row.id],
        answered_by=answered_by,
    )


async def _revealed(
    config: LoomConfig, run: Run, row: WholeRecord, scores: Sequence[Score]
) -> tuple[WholeRecord, Sequence[Score]]:
    """Return a record, and what was said of it, with sensitive values in clear."""
    pipeline = parse(dict(run.definition))
    if not pipeline.sensitive:
        return row, scores
    keys = await Keyring(config.settings().encryption.keys, config.secrets).keys()
    sealer = Sealer(pipeline.name, pipeline.sensitive_fields, keys)
    opened = {name: sealer.opened(getattr(row, name)) for name in ("record_data", "error_details", "output")}
    said = [
        replace(
            each,
            explanation=sealer.opened_value("explanation", each.explanation),
            interactions=None if each.interactions is None else [sealer.opened(one) for one in each.interactions],
        )
        for each in scores
    ]
    return replace(row, **opened), said


def _time(row: WholeRecord) -> KeptTime:
    return KeptTime(row.run_id, row.failure_stage, row.failure_reason, row.quarantined_at)


async def question(
    config: LoomConfig, run: Run | None, record: Mapping[str, Any], output: Any = None, failed: str | None = None
) -> str | None:
    """Return the question that a run asks its model about a record; where several steps asked one, each under the name
    of its step, or that of the step which `failed`. None where it asks none, its plan is gone or out of reach, or the
    record lacks what the prompt names. `output` is what the transform made of the record."""
    try:
        plan = await _plan(config, run)
    except (LoomError, KeyError):
        return None
    asked = [] if plan is None else list(_questions(plan, record, output, failed))
    if len(asked) == 1:
        return asked[0][1]
    return "\n\n".join(f"# {name}\n{text}" for name, text in asked) or None


def _questions(plan: Plan, record: Mapping[str, Any], output: Any, failed: str | None) -> Iterator[tuple[str, str]]:
    """Yield the questions that can be made of a record, with the names of their steps: of one that failed in a step the
    question of that step, else those whose answers it has."""
    made: Mapping[str, Any] = output if isinstance(output, Mapping) else {}
    for place, alone in by_step(plan.pipeline):
        step: Any = alone.transform
        if not isinstance(step, AiTransformConfig):
            continue
        name, fields = getattr(step, "name", ""), made_by(step)
        was_asked = name == failed if failed else fields is None or any(field in made for field in fields)
        view = record if place == TRANSFORM else {**record, **made}
        if place == TRANSFORM or was_asked:
            try:
                yield name, QuestionTemplate(plan, step).render(view).shown
            except (LoomError, KeyError):  # the record lacks what the prompt names
                continue


async def template(config: LoomConfig, run: Run) -> str | None:
    """Return the template of the prompt that a run asks its model with; None where it asks none, or its plan is gone or
    out of reach."""
    try:
        plan = await _plan(config, run)
        if plan is None or not isinstance(transform := plan.pipeline.transform, AiTransformConfig):
            return None
        return plan.text_of(transform.prompt)
    except (LoomError, KeyError):
        return None


async def _plan(config: LoomConfig, run: Run | None) -> Plan | None:
    if run is None:
        return None
    payloads = open_payloads(config.settings())
    try:
        return Plan.decoded(await payloads.get(run.plan))
    finally:
        await payloads.close()


async def calls(config: LoomConfig, run_id: str, record_id: str) -> list[CallsForRecord] | None:
    """Return the model calls that the run paid for the record; None where the journal cannot tell record by record."""
    async with _journal(config) as engine:
        return None if engine is None else await records.calls(engine, run_id, record_id)


async def answers(config: LoomConfig, run_id: str, record_id: str) -> list[Answer] | None:
    """Return the answers that the run paid for the record; None where the journal cannot tell record by record."""
    async with _journal(config) as engine:
        return None if engine is None else await records.answers(engine, run_id, record_id)


@asynccontextmanager
async def _journal(config: LoomConfig) -> AsyncIterator[AsyncEngine | None]:
    url = config.settings().journal.url.get_secret_value()
    if not url.startswith(("sqlite:", "postgres:", "postgresql:")):
        yield None
        return
    engine = open_engine(url, reads=True)
    try:
        yield engine
    finally:
        await engine.dispose()
