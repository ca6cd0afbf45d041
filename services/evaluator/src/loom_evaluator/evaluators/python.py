"""Implements the evaluator `python`, a function of the user's own; and the evaluators of plugins, which build such a
function."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition import evaluators as config
from loom_common.domain.definition.evaluator_kinds import PluginEvaluator
from loom_common.domain.json_values.exact_json import dumps
from loom_common.domain.json_values.plain_values import NoPlainValue, plain
from loom_common.errors import RecordError, UserCodeError
from loom_common.foreign_code.process_guard import foreign
from loom_common.text import named
from loom_common.user_code.functions import load_function
from loom_evaluator.evaluators.opinion import AsyncRule, Opinion, Rule, cannot_score, score_of, shown


def python(settings: config.PythonEvaluator | PluginEvaluator, folder: Path) -> Rule | AsyncRule:
    """`function(output, record)`, sync or async, gives a score, `(score, explanation)` or a mapping of the two.

    Whatever it raises is an evaluator error of that one record. Raises `UserCodeError` where it cannot be loaded."""
    if isinstance(settings, PluginEvaluator):
        return _rule(_built(settings))
    return _rule(load_function(settings.function, folder))


def _built(settings: PluginEvaluator) -> Callable[..., Any]:
    try:
        with foreign():
            function = settings.build()
    except BaseException as error:  # it is the plugin's code
        raise UserCodeError(f"The evaluator {settings.name} cannot be built: {named(error)}") from error
    if not callable(function):
        raise UserCodeError(f"The evaluator {settings.name} builds {type(function).__name__}, not a function.")
    return function


def _rule(function: Callable[..., Any]) -> Rule | AsyncRule:
    return _asynchronous(function) if inspect.iscoroutinefunction(function) else _synchronous(function)


def _synchronous(function: Callable[..., Any]) -> Rule:
    def rule(record: TransformedRecord) -> Opinion:
        try:
            return _opinion(function(copy.deepcopy(record.result), copy.deepcopy(record.input)))
        except BaseException as error:  # the function may raise anything, and so may what it returns
            raise _raised(error) from error

    return rule


def _asynchronous(function: Callable[..., Any]) -> AsyncRule:
    async def rule(record: TransformedRecord) -> Opinion:
        try:
            return _opinion(await function(copy.deepcopy(record.result), copy.deepcopy(record.input)))
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # the function may raise anything
            raise _raised(error) from error

    return AsyncRule(rule)


def _raised(error: BaseException) -> RecordError:
    return error if isinstance(error, RecordError) else cannot_score(f"the function raised {named(error)}")


def _opinion(answer: Any) -> Opinion:
    match answer:
        case Mapping():
            if "score" not in answer:
                raise cannot_score(f"the function returned {shown(answer)}, which has no 'score'")
            score, explanation = answer["score"], answer.get("explanation")
        case (score, explanation):
            pass
        case score:
            explanation = None
    return Opinion(score_of(score), _text(explanation))


def _text(explanation: Any) -> str | None:
    """Write the explanation as text: as JSON where it is another JSON value. Raises `RecordError` for anything else."""
    if explanation is None or isinstance(explanation, str):
        return explanation
    try:
        return dumps(plain(explanation)).decode()
    except NoPlainValue as error:
        raise cannot_score(f"the explanation is no text and no JSON: {error}") from error
