"""Says what a call may cost, and how long an answer may be that a sum pays for.

The worst case is the cost of the question and of the longest answer that the call allows. Where that is more than there
is, a lower limit is enough that nearly all earlier answers stayed within."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from loom_ai.budget.answer_sizes import Sizes, longest, shortest
from loom_ai.budget.prices import Prices
from loom_ai.ports import ModelCall
from loom_common.domain.run.budget import Need
from loom_common.errors import PermanentError
from loom_common.worker.usage import Usage

_DUST = 1e-12


class CallCosts:
    """Computes the costs of calls by the worst prices of their models."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices

    def need(self, call: ModelCall, sizes: Sizes, usage: Usage, beyond: int, *, patient: bool) -> Need:
        """Return what has to be reserved for the call, in USD. Its answer may have more than `beyond` tokens.

        Raises `PermanentError` for a model without a price."""
        full = longest(call)
        least, enough = (max(beyond, shortest(call), tokens) for tokens in (sizes.least(full), sizes.enough(full)))
        given = sizes.bound(call)

        def usd(given: int, answered: int) -> float:
            return self._cost(call, given, answered + sizes.beyond, usage)

        return Need(
            full=usd(given, full),
            enough=usd(given, min(full, enough)),
            least=usd(sizes.likely(call), min(full, least)),
            judged=call.judged,
            judging=not call.judged,
            patient=patient,
        )

    def affordable(self, call: ModelCall, sizes: Sizes, usage: Usage, usd: float) -> int:
        """Return the longest answer that `usd` pays for, in tokens.

        Where not even the bound of the question is covered, because little is left, its likely size is used."""
        full = longest(call)
        for given in (sizes.bound(call), sizes.likely(call)):
            cost = partial(self._cost, call, given, usage=usage)
            tokens = _most_tokens_within(usd, full, sizes.beyond, cost)
            if tokens >= max(sizes.least(full), shortest(call)):
                return tokens
        return max(1, tokens)

    def _cost(self, call: ModelCall, given: int, answered: int, usage: Usage) -> float:
        price = self._prices.worst(call, given, answered, usage.prices)
        if not price.known:
            raise PermanentError(
                f"No price is known for model {call.model}, so the budget cannot be kept. Say it in the pipeline or in "
                f"loom.yaml, in USD per million tokens: `prices: {{{call.model}: {{input: 0.15, output: 0.60}}}}`; or "
                "take `monitoring.cost_budget` out."
            )
        return price.usd


def _most_tokens_within(usd: float, full: int, beyond: int, cost: Callable[[int], float]) -> int:
    """Return the most tokens, up to `full`, whose cost is within `usd` when `beyond` more may be counted; 0 where none
    fits.

    The cost must grow with the tokens."""
    if cost(full + beyond) <= usd + _DUST:
        return full
    low, high = 0, full
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if cost(middle + beyond) <= usd + _DUST else (low, middle)
    return low
