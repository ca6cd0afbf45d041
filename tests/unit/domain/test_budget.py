from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_common.domain.budget import Standing, Verdict, decide

usd = st.floats(min_value=0, max_value=1000)


@pytest.mark.parametrize(
    ("spent", "lost", "reserved", "worst", "verdict"),
    [
        (0.0, 0.0, 0.0, 1.0, Verdict.GRANTED),  # all of it
        (0.4, 0.1, 0.3, 0.2, Verdict.GRANTED),  # exactly what is left
        (0.4, 0.1, 0.3, 0.21, Verdict.WAITS),
        (0.9, 0.0, 0.0, 0.2, Verdict.EXHAUSTED),
        (0.5, 0.4, 0.0, 0.2, Verdict.EXHAUSTED),  # what may have been charged counts as spent
        (0.9, 0.0, 0.1, 0.2, Verdict.EXHAUSTED),  # no call under way will make room for it
        (0.0, 0.0, 0.0, 1.5, Verdict.EXHAUSTED),  # it alone is too much
    ],
)
def test_a_call_is_made_only_where_its_worst_case_fits(spent, lost, reserved, worst, verdict):
    assert decide(1.0, Standing(spent, lost, reserved), worst) is verdict


@given(usd, usd, usd, usd, usd)
def test_what_is_granted_never_passes_the_budget(limit, spent, lost, reserved, worst):
    if decide(limit, Standing(spent, lost, reserved), worst) is Verdict.GRANTED:
        assert spent + lost + reserved + worst <= limit + 1e-8
