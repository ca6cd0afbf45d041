"""Estimates what it costs to judge an answer before there is one, so that a budget can reserve it with the question."""

from __future__ import annotations

import math

from loom_ai.budget.prices import Prices, Tokens
from loom_ai.http.endpoints import endpoint_of
from loom_ai.pacing.token_bounds import about
from loom_ai.ports import ModelCall
from loom_common.domain.definition.evaluator_kinds import with_cheap_tiers
from loom_common.domain.definition.evaluators import ModelJudged
from loom_common.domain.definition.pipeline import Pipeline
from loom_common.domain.values.sampling import sampled

_INSTRUCTIONS = 400
"""Holds the tokens of an evaluator's own instructions and of the schema of its answer."""
_ANSWER = 150
"""Holds the tokens of a usual output that is judged, and of a usual answer of the judge."""
_MARGIN = 1.5


class JudgingCost:
    """Estimates the cost of judging the records of one pipeline; 0 where no evaluator calls a model."""

    def __init__(self, pipeline: Pipeline, prices: Prices) -> None:
        self._pipeline = pipeline
        self._prices = prices
        section = pipeline.evaluate
        judges = (
            []
            if section is None
            else [each for each in with_cheap_tiers(section.evaluators) if isinstance(each, ModelJudged)]
        )
        self._share = 0.0 if section is None else section.sample
        self._calls: list[tuple[ModelCall, int]] = []
        for judge in judges:
            assert section is not None  # this pipeline has the evaluators
            model, base_url, api_key = section.endpoint_settings(judge, pipeline.providers)
            endpoint = endpoint_of(model, base_url, providers=pipeline.providers, api_key=api_key)
            call = ModelCall(
                endpoint.model,
                (),
                endpoint.base_url,
                provider=endpoint.provider,
                served_by=endpoint.served_by,
                batch_deadline=section.execution.batch_deadline,
            )
            self._calls.append((call, about(str(getattr(judge, "criteria", None) or ""))))

    @property
    def judges(self) -> bool:
        """Tell whether any evaluator calls a model."""
        return bool(self._calls)

    def of(self, record_id: str, prompt: str) -> float:
        """Estimate the cost of judging the answer to `prompt`, in USD, with a margin.

        A model without a price adds nothing, because it is not called under a budget."""
        if not self._calls or not sampled(record_id, self._share):
            return 0.0
        text = _INSTRUCTIONS + _ANSWER + about(prompt)
        quotes = (
            self._prices.quote(call, Tokens(given=math.ceil(text + words), answered=_ANSWER), self._pipeline.prices)
            for call, words in self._calls
        )
        return _MARGIN * sum(quote.usd for quote in quotes)
