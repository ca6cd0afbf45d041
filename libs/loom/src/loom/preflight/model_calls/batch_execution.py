"""Tells what `execution: batch` means for a pipeline: at what price, until when, and whether its providers have
batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from loom.preflight.model_calls.model_endpoints import endpoints_of_judges, endpoints_of_transform
from loom_ai.batches.protocols.support import see_that_it_speaks_batches
from loom_ai.budget.prices import batch_share
from loom_ai.http.endpoints import Endpoint
from loom_ai.ports import ModelCall
from loom_common.domain.checks.check import Check
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.ai import AiTransformConfig
from loom_common.domain.model_options.execution import ExecutionConfig
from loom_common.errors import PermanentError


def checks(pipeline: Pipeline) -> list[Check]:
    """Return a check for each model that is asked in batches."""
    return [_check(pipeline, *each) for each in _asked_in_batches(pipeline)]


def told(pipeline: Pipeline) -> list[dict[str, Any]]:
    """Return, for an estimate, which models are asked in batches: at which share of their price, and until when."""
    return [
        {
            "stage": stage,
            "model": endpoint.model,
            "share_of_price": _share(pipeline, endpoint),
            "deadline": execution.deadline,
        }
        for stage, execution, endpoint in _asked_in_batches(pipeline)
    ]


def in_words(batches: Mapping[str, Any]) -> str:
    """Return one of those in words."""
    return (
        f"{batches['stage']} asks {batches['model']} in batches, at {batches['share_of_price']:.0%} of its price; what "
        f"has no answer after {batches['deadline']} is asked directly, at the whole price"
    )


def _check(pipeline: Pipeline, stage: str, execution: ExecutionConfig, endpoint: Endpoint) -> Check:
    try:
        see_that_it_speaks_batches(endpoint.provider, endpoint.served_by)
    except PermanentError as error:
        return Check("batches", ok=False, detail=str(error))
    share = _share(pipeline, endpoint)
    words = in_words({"stage": stage, "model": endpoint.model, "share_of_price": share, "deadline": execution.deadline})
    return Check("batches", ok=True, detail=words)


def _asked_in_batches(pipeline: Pipeline) -> Iterator[tuple[str, ExecutionConfig, Endpoint]]:
    """Yield the stage, its settings and the endpoint of each model that is asked in batches, each once."""
    transform, evaluate = pipeline.transform, pipeline.evaluate
    if isinstance(transform, AiTransformConfig) and transform.execution.batch_deadline is not None:
        yield "transform", transform.execution, next(endpoints_of_transform(pipeline))
    if evaluate is not None and evaluate.execution.batch_deadline is not None:
        for endpoint in dict.fromkeys(endpoints_of_judges(pipeline)):
            yield "evaluate", evaluate.execution, endpoint


def _share(pipeline: Pipeline, endpoint: Endpoint) -> float:
    call = ModelCall(endpoint.model, (), endpoint.base_url, provider=endpoint.provider, served_by=endpoint.served_by)
    return batch_share(call, pipeline.prices)
