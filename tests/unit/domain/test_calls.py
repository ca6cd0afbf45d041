from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.run.calls import AMOUNTS, Calls, advanced, difference, summed

amounts = st.fixed_dictionaries({name: st.integers(0, 1000) for name in AMOUNTS})
kinds = st.fixed_dictionaries({name: st.sampled_from("ab") for name in ("purpose", "provider", "model")})
calls = st.builds(lambda kind, amount: Calls(**kind, **amount), kinds, amounts)


@given(st.lists(calls), st.lists(calls))
def test_what_was_booked_and_the_difference_are_what_is_known_now(now, before):
    booked = summed([*before, *difference(now, before)])
    nothing = dict.fromkeys(AMOUNTS, 0)
    assert [each for each in booked if each.model_dump(include=set(AMOUNTS)) != nothing] == [
        each for each in summed(now) if each.model_dump(include=set(AMOUNTS)) != nothing
    ]


@given(st.lists(calls))
def test_sums_do_not_depend_on_the_order(some):
    assert summed(some) == summed(reversed(some))


def test_calls_raise_the_money_of_their_stage():
    some = [Calls(purpose="evaluate", provider="p", model="m", made=2, reused=1, tokens_in=7, tokens_out=3, cost=0.5)]
    assert advanced(some, "evaluate") == {
        "calls_made": 2, "calls_from_cache": 1, "tokens_in": 7, "tokens_out": 3, "cost_evaluate": 0.5,
    }  # fmt: skip
    assert advanced([], "load") == {}
