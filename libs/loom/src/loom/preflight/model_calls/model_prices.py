"""Whether the models of a pipeline have a price, before a run finds out."""

from __future__ import annotations

from loom.preflight.model_calls.model_endpoints import endpoints
from loom_ai.budget.prices import Prices, Tokens
from loom_ai.ports import ModelCall
from loom_common.domain.definition.pipeline import Pipeline

_MILLION = 1_000_000


def told(pipeline: Pipeline) -> tuple[bool, str] | None:
    """Tell whether the run may go ahead, and the prices of its models in words; return None where no model is asked. An
    unknown price stands in the way of a budget only."""
    prices, monitoring = Prices(), pipeline.monitoring
    limits = " and ".join(name for name in ("cost_budget", "cost_budget_per_day") if getattr(monitoring, name))
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
        what = f"so {limits} cannot be kept" if limits else "their calls count as $0"
        remedy = f"Say it: `prices: {{{unknown[0]}: {{input: 0.15, output: 0.60}}}}`"
        words.append(f"no price is known for {names}: {what}. {remedy}")
    return not (unknown and limits), "; ".join(dict.fromkeys(words))
