"""A stage that has nothing to do is not visited."""

from __future__ import annotations

import pytest

from loom_common.domain.run.plan import Plan
from loom_common.domain.run.stages import has_work, visited
from loom_common.flow import Stage

PASSTHROUGH = {"type": "passthrough"}
PYTHON = {"type": "python", "function": "transforms:judged"}
GATED = {"evaluators": [{"type": "length", "field": "review", "min": 1, "threshold": 1.0}]}
CASES = {
    "nothing to do between extraction and load": (PASSTHROUGH, None, "extract load"),
    "evaluators alone": (PASSTHROUGH, GATED, "extract evaluate load"),
    "a transform alone": (PYTHON, None, "extract transform load"),
    "both": (PYTHON, GATED, "extract transform evaluate load"),
    "a declared output is checked": ({**PASSTHROUGH, "output": {"review": "string"}}, None, "extract transform load"),
    "a declared text is checked": ({**PASSTHROUGH, "output": "text"}, None, "extract transform load"),
}


def planned(transform, evaluate, **changes) -> Plan:
    pipeline = {
        "name": "reviews",
        "extract": {"source": "reviews.csv"},
        "transform": transform,
        "load": {"destination": "out.csv"},
        **({"evaluate": evaluate} if evaluate else {}),
    }
    return Plan.model_validate({"pipeline": pipeline, **changes})


@pytest.mark.parametrize("case", CASES)
def test_a_batch_visits_the_stages_that_have_work(case):
    transform, evaluate, expected = CASES[case]
    plan = planned(transform, evaluate)
    assert " ".join(visited(plan)) == expected
    assert [stage for stage in Stage if has_work(stage, plan.pipeline)] == list(visited(plan))


@pytest.mark.parametrize("case", CASES)
def test_where_the_plan_says_so_a_batch_visits_every_stage(case):
    transform, evaluate, _ = CASES[case]
    assert visited(planned(transform, evaluate, every_hop=True)) == tuple(Stage)


def test_a_plan_that_was_written_before_the_setting_keeps_its_name():
    plan = planned(PASSTHROUGH, None)
    assert b"every_hop" not in plan.encoded()
    assert Plan.decoded(plan.encoded()) == plan
