"""Checks the records of one stage in one process.

The order matters. What looks only at the record comes first, then the other sources, and uniqueness last: a record that
another check keeps back takes no value from those that come after it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from loom_common.contracts.v1 import CheckCount
from loom_common.domain.quality.bounds import has_value
from loom_common.domain.quality.check import RecordCheck
from loom_common.domain.quality.outcomes import Miss, kept_back, miss_of, newest_of
from loom_common.domain.run.attempts import Attempt
from loom_common.domain.run.plan import Plan
from loom_common.domain.values import durations
from loom_common.domain.values.per_record import per_record
from loom_common.errors import CheckBroken, RecordError
from loom_common.flow import Stage
from loom_common.ports.clock import Clock
from loom_common.ports.seen_values import SeenValue, SeenValues
from loom_common.quality.compiled import RecordRule, StageChecks
from loom_common.quality.references import References, digest_of
from loom_common.user_code.poison_isolation import USER_CODE
from loom_common.user_code.stage_runner import StageRunner, Work
from loom_common.user_code.threads import Threads


@per_record
class CheckedRecord:
    """Holds a record as the checks see it."""

    id: str
    fields: Mapping[str, Any]


@per_record
class _Outcome:
    misses: tuple[Miss, ...]
    error: RecordError | None = None


@per_record
class Checked:
    """Says what the checks of a stage found."""

    errors: Mapping[str, RecordError]
    """The records that do not go on, by their ids."""
    counts: tuple[CheckCount, ...]


NOTHING_CHECKED = Checked({}, ())


class QualityChecker:
    """Checks the records of one stage."""

    def __init__(
        self,
        stage: Stage,
        runner: StageRunner[StageChecks],
        seen: SeenValues,
        references: References,
        threads: Threads,
    ) -> None:
        self._stage = stage
        self._runner = runner
        self._seen = seen
        self._references = references
        self._threads = threads

    async def check(
        self,
        plan_hash: str,
        run_id: str,
        part: str,
        records: Sequence[CheckedRecord],
        attempt: Attempt,
        clock: Clock,
    ) -> Checked:
        """Check the records of a part of a run. The same part gives the same answer, in whichever process.

        Raises `CheckBroken` where a record misses a check whose action is `fail`; `PermanentError` where a check cannot
        be made; `DependencyUnavailable` where another source or the store of seen values is away; `WorkerWornOut`."""
        plan, checks = await self._runner.of(plan_hash)
        if not checks.all:
            return NOTHING_CHECKED
        outcomes = await self._of_each(plan, checks, part, records, attempt, clock)
        for name, reference in checks.references:
            values = [record.fields.get(reference.column) for record in records]
            missing = await self._references.missing(run_id, name, plan, reference, values)
            reason = f"it is not in '{reference.there}' of the other source"
            outcomes = _added(outcomes, [reason if each else None for each in missing], records, name, reference)
        for name, unique in checks.uniques:
            firsts = await self._firsts(plan, checks, run_id, name, unique.columns, records, outcomes)
            reasons = [None if first is None else "another record has the same value" for first in firsts]
            outcomes = _added(outcomes, reasons, records, name, unique, firsts)
        _see_that_none_fails(self._stage, checks, records, outcomes)
        errors = {
            record.id: error
            for record, outcome in zip(records, outcomes, strict=True)
            if (error := _error(outcome, checks)) is not None
        }
        return Checked(errors, _counts(checks, records, outcomes))

    async def _of_each(
        self,
        plan: Plan,
        checks: StageChecks,
        part: str,
        records: Sequence[CheckedRecord],
        attempt: Attempt,
        clock: Clock,
    ) -> list[_Outcome]:
        """Return what the checks that look only at the record say of each."""
        outcomes = await asyncio.to_thread(lambda: [_misses(checks.rules, record) for record in records])
        if not checks.functions:
            return outcomes
        seconds = durations.seconds(plan.pipeline.timeouts.record)

        async def asked(some: Sequence[CheckedRecord], _: int) -> list[_Outcome]:
            return await self._threads.each(
                some,
                lambda record: _misses(checks.functions, record),
                seconds,
                late=lambda record: _too_late(checks.functions, record, seconds),
            )

        work = Work(
            attempt=asked,
            failed=lambda _: False,
            joined=lambda _, later: later,
            kept_away=lambda _, error: _Outcome((), error),
            risk=USER_CODE,
            max_attempts=1,
            seconds=durations.seconds(plan.pipeline.timeouts.batch),
        )
        answers = await self._runner.run(part, records, work, attempt, clock)
        return [
            _Outcome((*before.misses, *after.misses), after.error)
            for before, after in zip(outcomes, answers, strict=True)
        ]

    async def _firsts(
        self,
        plan: Plan,
        checks: StageChecks,
        run_id: str,
        name: str,
        columns: Sequence[str],
        records: Sequence[CheckedRecord],
        outcomes: Sequence[_Outcome],
    ) -> list[str | None]:
        """Return for each record the one that had its value before; None where there is none, or where another check
        keeps the record back."""
        scope = run_id if plan.replay is None else plan.replay.origin or plan.replay.run_id
        keeping = {each for each, action in _actions(checks).items() if action == "quarantine"}
        values: dict[int, SeenValue] = {}
        for at, (record, outcome) in enumerate(zip(records, outcomes, strict=True)):
            found = [record.fields.get(column) for column in columns]
            if outcome.error is not None or not all(map(has_value, found)):
                continue
            if not any(miss.check in keeping for miss in outcome.misses):
                values[at] = SeenValue(scope, f"{self._stage}/{name}"[:150], digest_of(found), record.id)
        firsts = dict(zip(values, await self._seen.first(list(values.values())), strict=True)) if values else {}
        return [firsts[at] if at in firsts and firsts[at] != record.id else None for at, record in enumerate(records)]


def _actions(checks: StageChecks) -> dict[str, str]:
    return {name: check.action for name, check in checks.all if isinstance(check, RecordCheck)}


def _misses(rules: Sequence[RecordRule], record: CheckedRecord) -> _Outcome:
    return _Outcome(
        tuple(
            [
                miss_of(rule.name, rule.check, record.fields, reason)
                for rule in rules
                if (reason := rule.of(record.fields)) is not None
            ]
        )
    )


def _too_late(rules: Sequence[RecordRule], record: CheckedRecord, seconds: float) -> _Outcome:
    reason = f"the function took longer than {seconds:g} s (`timeouts.record`)"
    return _Outcome(tuple(miss_of(rule.name, rule.check, record.fields, reason) for rule in rules))


def _added(
    outcomes: Sequence[_Outcome],
    reasons: Sequence[str | None],
    records: Sequence[CheckedRecord],
    name: str,
    check: RecordCheck,
    others: Sequence[str | None] | None = None,
) -> list[_Outcome]:
    """Return the outcomes with what a check adds to them: where there is a reason, and which other record it names."""
    found = []
    for outcome, reason, record, other in zip(outcomes, reasons, records, others or reasons, strict=True):
        if reason is None:
            found.append(outcome)
            continue
        miss = miss_of(name, check, record.fields, reason, other if others else None)
        found.append(_Outcome((*outcome.misses, miss), outcome.error))
    return found


def _see_that_none_fails(
    stage: Stage, checks: StageChecks, records: Sequence[CheckedRecord], outcomes: Sequence[_Outcome]
) -> None:
    """Raise `CheckBroken` for the first record that misses a check which tolerates none."""
    final = {
        name
        for name, check in checks.all
        if isinstance(check, RecordCheck) and check.action == "fail" and check.tolerated is None
    }
    for record, outcome in zip(records, outcomes, strict=True) if final else ():
        for miss in outcome.misses:
            if miss.check in final:
                raise CheckBroken(
                    f"Record {record.id}: {miss.with_value} (`{stage}.quality_checks`, action: fail). Mend the source "
                    "or the check; then start the pipeline again.",
                    miss.check,
                )


def _error(outcome: _Outcome, checks: StageChecks) -> RecordError | None:
    if outcome.error is not None or not outcome.misses:
        return outcome.error
    actions = _actions(checks)
    keeping = [miss for miss in outcome.misses if actions[miss.check] == "quarantine"]
    return kept_back(keeping) if keeping else None


def _counts(
    checks: StageChecks, records: Sequence[CheckedRecord], outcomes: Sequence[_Outcome]
) -> tuple[CheckCount, ...]:
    missed: dict[str, int] = {}
    for outcome in outcomes:
        for miss in outcome.misses:
            missed[miss.check] = missed.get(miss.check, 0) + 1
    newest = {
        name: newest_of(check, (record.fields.get(check.column) for record in records)) for name, check in checks.times
    }
    said = {rule.name: rule.applies for rule in checks.rules if rule.applies is not None}
    seen = {name: sum(applies(record.fields) for record in records) for name, applies in said.items()}
    return tuple(
        CheckCount(name=name, seen=seen.get(name, len(records)), missed=missed.get(name, 0), newest=newest.get(name))
        for name, _ in checks.all
    )
