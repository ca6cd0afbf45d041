from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from loom_common import flow
from loom_common.adapters.wrapped.facts_together import COUNT
from loom_common.contracts.v1 import SlicedBatch, SliceExtracted, StageFailed
from loom_common.domain.run.tally import Tally
from loom_common.flow import Route, Stage
from loom_coordinator.flow_control.windows import Awaited
from loom_coordinator.intake.urgency import Urgency, may_end_a_batch

LOADED = flow.fact("batch", Stage.LOAD.done, "p")


def told(route: Route, kind: str = "", run: str = "run_1") -> SimpleNamespace:
    return SimpleNamespace(routing_key=route.key, type=kind, correlation_id=run, headers={})


def an_end(run: str = "run_1") -> SimpleNamespace:
    return told(LOADED, run=run)


def an_answer(run: str = "run_1") -> SimpleNamespace:
    return told(flow.fact("slice", "extracted", "p"), SliceExtracted.type, run)


def answer(batches: int, run: str = "run_1") -> SliceExtracted:
    made = tuple(SlicedBatch(batch_id=str(at), position=at, tally=Tally(extracted=1)) for at in range(batches))
    return SliceExtracted(run_id=run, pipeline="p", epoch=1, partition=0, slice=0, batches=made, cursor=None, end=False)


def waiting_for(awaited: Mapping[str, Awaited | None] | Awaited) -> Urgency:
    urgency = Urgency([StageFailed.type])
    urgency.follows([], awaited if isinstance(awaited, Mapping) else {"run_1": awaited})
    return urgency


def test_an_answer_is_urgent_of_a_run_that_nothing_is_known_of():
    assert Urgency().arrived(an_answer())
    assert not Urgency().arrived(an_end())


def test_an_answer_waits_for_the_ends_without_which_nothing_follows():
    urgency = waiting_for(Awaited(2, answer=True))

    assert not urgency.arrived(an_answer())
    assert not urgency.arrived(an_end())
    assert urgency.arrived(an_end())


def test_ends_wait_for_the_answer_without_which_nothing_follows():
    urgency = waiting_for(Awaited(1, answer=True))

    assert not urgency.arrived(an_end())
    assert not urgency.arrived(an_end())
    assert urgency.arrived(an_answer())


def test_an_answer_that_needs_no_ends_waits_for_nobody():
    assert waiting_for(Awaited(0, answer=True)).arrived(an_answer())


def test_where_only_ends_are_awaited_answers_wait_for_nobody():
    assert waiting_for(Awaited(2)).arrived(an_answer())


def test_ends_of_another_run_do_not_count():
    urgency = waiting_for({"run_1": Awaited(2, answer=True), "run_2": Awaited(2)})

    assert not urgency.arrived(an_answer())
    assert not urgency.arrived(an_end())
    assert not urgency.arrived(an_end("run_2"))
    assert urgency.arrived(an_end("run_2"))


def test_each_of_several_facts_in_a_message_counts():
    urgency = waiting_for(Awaited(4))
    several = an_end()
    several.headers = {COUNT: 3}

    assert not urgency.arrived(several)
    assert urgency.arrived(an_end())


def test_stages_before_the_load_do_not_count():
    urgency = waiting_for(Awaited(1))

    assert not urgency.arrived(told(flow.fact("batch", Stage.TRANSFORM.done, "p")))
    assert urgency.arrived(an_end())


def test_what_was_taken_does_not_count_again():
    urgency = waiting_for(Awaited(2, answer=True))
    for each in (an_answer(), an_end(), an_end()):
        urgency.arrived(each)
    urgency.begin_anew([an_end()])

    assert not urgency.hurries
    assert not urgency.arrived(an_answer())
    assert urgency.arrived(an_end())

    urgency.begin_anew([])
    assert not urgency.arrived(an_end())
    assert not urgency.arrived(an_end())


def test_what_has_arrived_may_become_urgent_by_what_was_taken_before():
    urgency = waiting_for(Awaited(2, answer=True))
    urgency.arrived(an_end())

    urgency.follows([], {"run_1": Awaited(1)})

    assert urgency.hurries


def test_a_failure_waits_for_nobody():
    assert waiting_for(Awaited(9, answer=True)).arrived(told(flow.fact("stage", "failed", "p"), StageFailed.type))


def test_after_an_answer_with_fewer_batches_than_asked_for_the_next_one_waits_for_nobody():
    awaited = Awaited(2, answer=True, asked=4)
    urgency = waiting_for(awaited)
    urgency.follows([answer(3)], {"run_1": awaited})
    assert urgency.arrived(an_answer())

    urgency.begin_anew([])
    urgency.follows([answer(4)], {"run_1": awaited})
    assert not urgency.arrived(an_answer())


def test_a_run_of_which_nothing_more_is_known_has_urgent_answers_again():
    urgency = waiting_for(Awaited(2, answer=True))
    urgency.follows([], {"run_1": None})

    assert urgency.arrived(an_answer())


@pytest.mark.parametrize(
    ("route", "ends"),
    [
        (flow.fact("batch", Stage.LOAD.done, "p"), True),
        (flow.fact("records", "kept", "p"), True),
        (flow.fact("batch", Stage.TRANSFORM.done, "p"), False),
        (flow.fact("batch", Stage.EVALUATE.done, "p"), False),
    ],
)
def test_a_batch_may_end_with_its_load_or_with_what_the_quarantine_keeps(route, ends):
    assert may_end_a_batch(told(route)) is ends
