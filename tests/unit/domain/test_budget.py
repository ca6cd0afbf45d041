from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.run.budget import SHARES, BudgetDecision, BudgetState, Need, decide, owed_for

usd = st.floats(min_value=0, max_value=1000)
needs = st.builds(
    lambda parts, judged, judging, patient: Need(*sorted(parts, reverse=True), judged, judging, patient),
    st.tuples(usd, usd, usd), usd, st.booleans(), st.booleans(),
)  # fmt: skip


def need(worst: float) -> Need:
    return Need(worst, worst, worst)


@pytest.mark.parametrize(
    ("spent", "lost", "reserved", "worst", "verdict"),
    [
        (0.0, 0.0, 0.0, 1.0, BudgetDecision.GRANTED),  # all of it
        (0.4, 0.1, 0.3, 0.2, BudgetDecision.GRANTED),  # exactly what is left
        (0.4, 0.1, 0.3, 0.21, BudgetDecision.WAITS),
        (0.9, 0.0, 0.0, 0.2, BudgetDecision.EXHAUSTED),
        (0.5, 0.4, 0.0, 0.2, BudgetDecision.EXHAUSTED),  # what may have been charged counts as spent
        (0.9, 0.0, 0.1, 0.2, BudgetDecision.EXHAUSTED),  # no call under way will make room for it
        (0.0, 0.0, 0.0, 1.5, BudgetDecision.EXHAUSTED),  # it alone is too much
    ],
)
def test_a_call_is_made_only_where_its_worst_case_fits(spent, lost, reserved, worst, verdict):
    assert decide(1.0, BudgetState(spent, lost, reserved), need(worst))[0] is verdict


@pytest.mark.parametrize(
    ("standing", "granted"),
    [
        (BudgetState(), 0.01),  # room for as much as nearly all answers took, not for the longest the pipeline allows
        (BudgetState(spent=0.9, reserved=0.05), 0.01),
        (BudgetState(spent=0.995), 0.005),  # alone, it may have whatever is left
    ],
)
def test_a_call_that_may_cost_more_than_is_left_is_granted_what_it_needs(standing, granted):
    verdict, amount = decide(1.0, standing, Need(full=50.0, enough=0.01, least=0.002))
    assert (verdict, amount) == (BudgetDecision.GRANTED, pytest.approx(granted))


def test_where_there_is_room_for_many_such_calls_each_is_granted_in_full():
    assert decide(SHARES * 2.0, BudgetState(), Need(full=2.0, enough=0.1, least=0.1))[1] == 2.0


def test_a_call_that_has_not_enough_waits_for_those_under_way():
    standing = BudgetState(spent=0.9, reserved=0.095)
    assert decide(1.0, standing, Need(full=1.0, enough=0.02, least=0.001))[0] is BudgetDecision.WAITS


@pytest.mark.parametrize(
    ("need", "verdict"),
    [
        (Need(0.3, 0.3, 0.3, judged=0.2), BudgetDecision.GRANTED),
        (Need(0.3, 0.3, 0.3, judged=0.3), BudgetDecision.WAITS),  # judgements may cost less than what is owed
        (Need(0.9, 0.9, 0.9, judging=True), BudgetDecision.GRANTED),  # it is for judgements that the money was kept
        (Need(0.9, 0.9, 0.9, judged=0.2), BudgetDecision.EXHAUSTED),  # its answer could never be judged
    ],
)
def test_what_is_owed_to_judgements_is_not_spent_on_what_is_to_be_judged(need, verdict):
    assert decide(1.0, BudgetState(owed=0.5), need)[0] is verdict


def test_an_estimate_of_judgements_holds_nothing_up_where_none_was_made_and_nothing_moves():
    waited = Need(0.3, 0.3, 0.3, judged=0.3, patient=False)
    assert decide(1.0, BudgetState(owed=0.6), waited)[0] is BudgetDecision.GRANTED
    assert decide(1.0, BudgetState(owed=0.6, judged=10, judging=2.0), waited)[0] is BudgetDecision.EXHAUSTED


def test_what_is_set_apart_for_a_judgement_follows_what_judgements_have_cost():
    assert owed_for(5.0, BudgetState()) == 5.0
    assert owed_for(5.0, BudgetState(judged=10, judging=2.0)) == pytest.approx(0.3)
    assert owed_for(0.0, BudgetState(judged=10, judging=2.0)) == 0.0


@given(usd, usd, usd, usd, usd, needs)
def test_what_is_granted_never_passes_the_budget(limit, spent, lost, reserved, owed, need):
    verdict, granted = decide(limit, BudgetState(spent, lost, reserved, owed), need)
    if verdict is BudgetDecision.GRANTED:
        assert spent + lost + reserved + granted <= limit + 1e-8
        assert need.least - 1e-8 <= granted <= need.full
        if not need.judging and need.patient:
            assert spent + lost + reserved + granted + owed + need.judged <= limit + 1e-8
