"""Tells whether a budget bears a run: what is said before it begins."""

from __future__ import annotations

from collections.abc import Sequence

from loom.preflight.model_calls.model_endpoints import endpoints
from loom_ai.budget.answer_sizes import longest
from loom_ai.budget.prices import Prices, Tokens
from loom_ai.pacing.token_bounds import MOST_ANSWERED, most
from loom_ai.ports import ModelCall
from loom_common.console.numbers import money
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.definition.transforms.ai import AiTransformConfig


def told(pipeline: Pipeline) -> str | None:
    """Say in words what the budget means for one call of the transform; return None without a budget or a model."""
    of_day, transform = pipeline.monitoring.cost_budget_per_day, pipeline.transform
    budget = pipeline.monitoring.cost_budget or (None if of_day is None else of_day.usd)
    span = "a day" if pipeline.monitoring.cost_budget is None else "a run" if pipeline.windows is None else "a window"
    if budget is None or not isinstance(transform, AiTransformConfig):
        return None
    endpoint = next(endpoints(pipeline))
    call = ModelCall(
        endpoint.model, (), endpoint.base_url, provider=endpoint.provider, served_by=endpoint.served_by,
        max_tokens=transform.max_tokens,
    )  # fmt: skip
    tokens = longest(call)
    usd = Prices().quote(call, Tokens(answered=tokens), pipeline.prices).usd
    limit = "`max_tokens`" if transform.max_tokens else f"no `max_tokens`, so {MOST_ANSWERED:,} tokens"
    if usd <= budget:
        return f"${budget:g} for {span}; the longest answer ({limit}) costs {money(usd)}"
    return (
        f"${budget:g} for {span}, and the longest answer ({limit}: {tokens:,} tokens) would cost {money(usd)}: calls "
        "are made with a limit that the rest bears, and what that cuts off is asked again"
    )


def of_last_call(asked: Sequence[tuple[ModelCall, int]], pipeline: Pipeline) -> float:
    """USD that must be left for the costliest of these calls (and the tokens their answers are expected to have) to be
    made as the last one: the question at its bound, the answer twice as long, and its judgement."""
    prices = Prices()
    return max(
        (
            prices.quote(call, Tokens(given=most(call), answered=2 * tokens), pipeline.prices).usd + call.judged
            for call, tokens in asked
        ),
        default=0.0,
    )
