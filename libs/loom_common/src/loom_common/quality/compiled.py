"""Makes the checks of a stage ready to run, once for each plan in each process."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loom_common.domain.ontology.in_plan import domain_in
from loom_common.domain.quality.check import QualityCheck, RecordCheck
from loom_common.domain.quality.kinds import Custom, Freshness, OfOntology, Reference, Unique, named
from loom_common.domain.quality.rules import Rule, rule_of
from loom_common.domain.run.plan import Plan
from loom_common.errors import UserCodeError
from loom_common.flow import Stage
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find, is_reference, names
from loom_common.text import named as words_of_error
from loom_common.user_code.functions import load_function

if TYPE_CHECKING:
    from loom_common.domain.ontology.formulas import Domain


@dataclass(frozen=True, slots=True)
class RecordRule:
    """Holds a check of each record with the function that decides."""

    name: str
    check: RecordCheck
    misses: Rule
    """Says of what the check looks at why it misses."""
    applies: Callable[[Mapping[str, Any]], bool] | None = None
    """Tells whether the check says anything of a record; None where it says something of every one."""

    def of(self, fields: Mapping[str, Any]) -> str | None:
        """Return why a record with these fields misses the check; None where it holds."""
        columns = self.check.columns
        return self.misses(fields.get(columns[0]) if columns else fields)


@dataclass(frozen=True, slots=True)
class StageChecks:
    """Holds the checks of one stage of a plan."""

    all: Sequence[tuple[str, QualityCheck]]
    rules: Sequence[RecordRule]
    """Holds the rules that look at nothing but the record, with Loom's own code."""
    functions: Sequence[RecordRule]
    """Holds the rules that call the user's code."""
    references: Sequence[tuple[str, Reference]]
    uniques: Sequence[tuple[str, Unique]]
    times: Sequence[tuple[str, Freshness]]


def checks_of(plan: Plan, stage: Stage) -> Sequence[QualityCheck]:
    """Return the checks that a plan demands in a stage."""
    match stage:
        case Stage.EXTRACT:
            return plan.pipeline.extract.quality_checks
        case Stage.LOAD:
            return plan.pipeline.load.quality_checks
        case _:
            return ()


def compiled(plan: Plan, stage: Stage, project: Path) -> StageChecks:
    """Make the checks of a stage ready. Blocks while it imports what they name. Raises `UserCodeError`."""
    checks = named(checks_of(plan, stage))
    folder = project / plan.base
    domain = _domain(plan) if any(isinstance(check, OfOntology) for _, check in checks) else None
    return StageChecks(
        all=checks,
        rules=[
            rule
            for name, check in checks
            if isinstance(check, RecordCheck) and (rule := _record_rule(name, check, domain)) is not None
        ],
        functions=[
            RecordRule(name, check, _asked(function_of(check.function, folder)))
            for name, check in checks
            if isinstance(check, Custom)
        ],
        references=[(name, check) for name, check in checks if isinstance(check, Reference)],
        uniques=[(name, check) for name, check in checks if isinstance(check, Unique)],
        times=[(name, check) for name, check in checks if isinstance(check, Freshness)],
    )


def _domain(plan: Plan) -> Domain:
    """Return the plan's ontology. Raises `UserCodeError` where it has none."""
    config = plan.pipeline.ontology
    domain = domain_in(plan.files, config.columns if config else None)
    if domain is None:
        raise UserCodeError("The run's plan lacks the ontology that its quality checks name. Start the run again.")
    return domain


def _record_rule(name: str, check: RecordCheck, domain: Domain | None) -> RecordRule | None:
    """Return the rule of a check that looks at nothing but the record; None of another. Raises `UserCodeError`."""
    if not isinstance(check, OfOntology) or domain is None:
        made = rule_of(check)
        return None if made is None else RecordRule(name, check, made)
    rule = domain.rules.get(check.rule)
    if rule is None:
        raise UserCodeError(f"The ontology {domain.ontology.name} has no rule '{check.rule}'. Start the run again.")
    return RecordRule(
        name, check, lambda fields: domain.miss(rule, fields), lambda fields: domain.applies(rule, fields)
    )


def function_of(reference: str, folder: Path) -> Callable[[Any], Any]:
    """Return the function of a custom check: a registered one, one that a package offers, or `module:name`.

    Raises `UserCodeError`, also for an asynchronous function."""
    found = load_function(reference, folder) if is_reference(reference) else find(Kind.CHECK, reference)
    if found is None:
        known = ", ".join(names(Kind.CHECK)) or "none"
        raise UserCodeError(f"There is no check '{reference}'; registered are {known}. Or write module:name.")
    if not callable(found) or inspect.iscoroutinefunction(found):
        raise UserCodeError(
            f"The check '{reference}' is {type(found).__name__}, and must be a function without `async`."
        )
    return found


def _asked(function: Callable[[Any], Any]) -> Rule:
    def rule(value: Any) -> str | None:
        try:
            answer = function(copy.deepcopy(value))
        except BaseException as error:  # noqa: BLE001 - the function may raise anything
            return f"the function raised {words_of_error(error)}"
        holds, reason = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
        if not isinstance(holds, bool):
            return (
                f"the function returned {type(holds).__name__}, and must return true or false, or a pair with a reason"
            )
        return None if holds else str(reason or "the function says that it does not hold")

    return rule
