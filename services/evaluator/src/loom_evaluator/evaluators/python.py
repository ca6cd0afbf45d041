"""The evaluator `python`: a function of the user's own."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition import evaluators as config
from loom_common.domain.json_values.exact_json import dumps
from loom_common.domain.json_values.plain_values import NoPlainValue, plain
from loom_common.errors import RecordError
from loom_common.text import named
from loom_common.user_code.functions import load_function
from loom_evaluator.evaluators.opinion import AsyncRule, Opinion, Rule, cannot_score, score_of, shown


def python(settings: config.PythonEvaluator, folder: Path) -> Rule | AsyncRule:
    """`function(output, record)`, sync or async, gives a score, `(score, explanation)` or a mapping of the two.

    Whatever it raises is an evaluator error of that one record. Raises `UserCodeError` where it cannot be loaded."""
    function = load_function(settings.function, folder)
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

    return rule


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
    """The explanation as text: as JSON where it is another JSON value. Raises `RecordError` for anything else."""
    if explanation is None or isinstance(explanation, str):
        return explanation
    try:
        return dumps(plain(explanation)).decode()
    except NoPlainValue as error:
        raise cannot_score(f"the explanation is no text and no JSON: {error}") from error
