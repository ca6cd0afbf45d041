"""Whether the models of a pipeline have a price, before a run finds out."""

from __future__ import annotations

from collections.abc import Iterator

from loom_ai.budget.prices import Prices, Tokens
from loom_ai.http.endpoints import Endpoint, endpoint_of, endpoints_of
from loom_ai.ports import ModelCall
from loom_common.domain.definition.evaluators import ModelJudged
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transform import AiTransformConfig

_MILLION = 1_000_000


def told(pipeline: Pipeline) -> tuple[bool, str] | None:
    """Tell whether the run may go ahead, and the prices of its models in words; return None where no model is asked. An
    unknown price stands in the way of a budget only."""
    prices = Prices()
    words, unknown = [], []
    for endpoint in dict.fromkeys(endpoints(pipeline)):
        call = ModelCall(
            model=endpoint.model,
            messages=(),
            base_url=endpoint.base_url,
            provider=endpoint.provider,
            served_by=endpoint.served_by,
        )
        if not prices.knows(call, pipeline.prices):
            unknown.append(endpoint.model)
            continue
        given = prices.quote(call, Tokens(given=_MILLION), pipeline.prices).usd
        answered = prices.quote(call, Tokens(answered=_MILLION), pipeline.prices).usd
        words.append(f"{endpoint.model} ${given:g} in, ${answered:g} out per million tokens")
    if not words and not unknown:
        return None
    if unknown:
        names = ", ".join(dict.fromkeys(unknown))
        what = "so cost_budget cannot be kept" if pipeline.monitoring.cost_budget else "their calls count as $0"
        remedy = f"Say it: `prices: {{{unknown[0]}: {{input: 0.15, output: 0.60}}}}`"
        words.append(f"no price is known for {names}: {what}. {remedy}")
    return not (unknown and pipeline.monitoring.cost_budget), "; ".join(dict.fromkeys(words))


def endpoints(pipeline: Pipeline) -> Iterator[Endpoint]:
    """Of every model the pipeline may ask."""
    transform, evaluate = pipeline.transform, pipeline.evaluate
    if isinstance(transform, AiTransformConfig):
        others = transform.fallback.models if transform.fallback else ()
        yield from endpoints_of(
            (transform.model, *others), transform.base_url, transform.api_key, providers=pipeline.providers
        )
    for judge in evaluate.evaluators if evaluate else ():
        if not isinstance(judge, ModelJudged) or evaluate is None:
            continue
        model = judge.model or evaluate.model
        if model is not None:
            yield endpoint_of(
                model, judge.base_url or evaluate.base_url, providers=pipeline.providers, api_key=evaluate.api_key
            )
