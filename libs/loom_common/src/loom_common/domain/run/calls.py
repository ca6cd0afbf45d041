"""Sums of model calls: their number, tokens and cost by purpose, provider and model."""

from collections.abc import Iterable
from operator import add, attrgetter
from typing import Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

Tier: TypeAlias = Literal["cheap", "dear"]
"""The tiers of a cascade, in the order in which they are asked."""
CHEAP: Tier = "cheap"
"""The cheap tier of a cascade, and the purpose of its calls."""
DEAR: Tier = "dear"
Kind = tuple[str, str, str]
"""The purpose, the provider and the model."""


class Calls(BaseModel):
    """Adds up the calls of one stage that share purpose, provider and model."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    purpose: str = Field(
        description="`transform`, `embed`, `evaluate`, `repair`, `fallback`, `sample`, `judge`, `refine`, `tools`, "
        "`tool`, `tool_error` or `cheap`."
    )
    provider: str
    model: str
    made: int = Field(0, description="Calls paid for.")
    reused: int = Field(0, description="Answers that another record, or another run, had paid for.")
    unpriced: int = Field(0, description="Of those made: calls whose price nobody knows. They count as 0 USD.")
    estimated: int = Field(
        0, description="Of those made: calls with an estimated token count, because the provider's could not be used."
    )
    tokens_in: int = 0
    tokens_cached: int = Field(0, description="Of `tokens_in`: what the provider had cached, and charges less for.")
    tokens_out: int = 0
    cost: float = Field(0.0, description="USD.")
    seconds: float = Field(0.0, description="From question to answer, added up over the calls made.")

    @property
    def kind(self) -> Kind:
        """Return the purpose, provider and model, by which calls are added up."""
        return (self.purpose, self.provider, self.model)

    def __add__(self, other: "Calls") -> Self:
        return self._joined(other, 1)

    def __sub__(self, other: "Calls") -> Self:
        return self._joined(other, -1)

    def _joined(self, other: "Calls", sign: int) -> Self:
        return self.model_copy(update={name: getattr(self, name) + sign * getattr(other, name) for name in AMOUNTS})


KIND = ("purpose", "provider", "model")
"""Holds the fields of `Calls` by which they are added up."""
AMOUNTS = tuple(name for name in Calls.model_fields if name not in KIND)
"""Holds the fields of `Calls` that are added up."""
_amounts = attrgetter(*AMOUNTS)


def summed(calls: Iterable[Calls]) -> tuple[Calls, ...]:
    """Return one entry per kind of call, sorted."""
    found: dict[Kind, tuple[float, ...]] = {}
    for each in calls:
        amounts = _amounts(each)
        known = found.get(each.kind)
        found[each.kind] = amounts if known is None else tuple(map(add, known, amounts))
    return tuple(
        Calls.model_validate({**dict(zip(KIND, kind, strict=True)), **dict(zip(AMOUNTS, found[kind], strict=True))})
        for kind in sorted(found)
    )


def difference(now: Iterable[Calls], before: Iterable[Calls]) -> tuple[Calls, ...]:
    """Return what must be added to `before` to get `now`. Kinds that are equal in both are left out."""
    found = {each.kind: each for each in summed(now)}
    for each in summed(before):
        nothing = Calls(purpose=each.purpose, provider=each.provider, model=each.model)
        found[each.kind] = found.get(each.kind, nothing) - each
    return tuple(found[kind] for kind in sorted(found) if any(getattr(found[kind], name) for name in AMOUNTS))


def advanced(calls: Iterable[Calls], stage: str) -> dict[str, float]:
    """Return the sums as fields of a `Tally`."""
    calls = list(calls)
    if not calls:
        return {}
    return {
        "calls_made": sum(each.made for each in calls),
        "calls_from_cache": sum(each.reused for each in calls),
        "tokens_in": sum(each.tokens_in for each in calls),
        "tokens_out": sum(each.tokens_out for each in calls),
        f"cost_{stage}": sum(each.cost for each in calls),
    }
