"""Tests what answers for a record where the first model does not."""

from __future__ import annotations

import orjson
import pytest

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.domain.run.attempts import Attempt
from loom_common.errors import (
    BreakerOpen,
    DependencyUnavailable,
    InvalidDefinition,
    PermanentError,
    RecordError,
    Timeout,
)
from loom_common.flow import Stage
from loom_common.worker.context import Context
from loom_transformer.recovered import finished, work_of
from loom_transformer.transforms.catalog import Catalog
from support.clocks import ManualClock
from support.handling import runner_of
from support.plans import GivenPlans, batch_of, plan_of
from support.scripted_model import ScriptedModel, answer_of

AI = {
    "type": "ai",
    "prompt": "How is {{ input.review }}?",
    "model": "small",
    "base_url": "http://h/v1",
    "output": {"mood": {"enum": ["good", "bad"]}},
}
GOOD, BAD = answer_of('{"mood": "good"}'), answer_of('{"mood": "bad"}')
FIRST, LAST = Attempt(), Attempt(number=5, last=True)
AWAY = DependencyUnavailable("small is away")
OPEN = BreakerOpen("model small", probe_in=60, opened_for=0, opening=1)


def by_model(**answers):
    """Write a script: what each model does, every time."""

    def turn(call):
        turn = answers[call.model]
        if isinstance(turn, Exception):
            raise turn
        return turn

    return turn


class Plant:
    """Holds a transform of one plan, and what it was asked."""

    def __init__(self, tmp_path, script, journal=None, **transform):
        self.plan = plan_of({**AI, **transform})
        self.model = ScriptedModel(script)
        self._transform = Catalog(JournalledModels(self.model, journal or MemoryJournal()), tmp_path).transform_of(
            self.plan
        )

    async def outcomes(
        self, *reviews: str, run_id: str = "run_1", clock: ManualClock | None = None, attempt: Attempt = FIRST
    ):
        records = batch_of(self.plan, [{"review": each} for each in reviews]).records
        context = Context(attempt, clock=clock or ManualClock())
        work = work_of(self._transform, run_id, self.plan.pipeline, context)
        runner = runner_of(GivenPlans(self.plan), lambda _: self._transform, Stage.TRANSFORM)
        made = await runner.run("b1", records, work, context.attempt, context.clock)
        return [finished(outcome, self.plan.pipeline.transform) for outcome in made]

    @property
    def asked(self) -> list[str]:
        return [call.model for call in self.model.calls]


@pytest.mark.parametrize("trouble", [RecordError("refused", code="model_refused"), AWAY, OPEN])
async def test_the_next_model_is_asked_whatever_ails_the_first(tmp_path, trouble):
    plant = Plant(tmp_path, by_model(small=trouble, large=GOOD), fallback=["large"])
    [outcome] = await plant.outcomes("it")
    assert (outcome.output, outcome.answered_by) == ({"mood": "good"}, "large")
    assert plant.asked == ["small", "large"]


async def test_the_first_model_is_no_fallback(tmp_path):
    plant = Plant(tmp_path, by_model(small=GOOD), fallback=["large"])
    [outcome] = await plant.outcomes("it")
    assert (outcome.answered_by, plant.asked) == (None, ["small"])


async def test_what_all_models_cost_is_counted(tmp_path):
    nonsense = answer_of("no json")
    plant = Plant(tmp_path, by_model(small=nonsense, large=GOOD), fallback=["large"])
    [outcome] = await plant.outcomes("it")
    assert (outcome.spent.calls_made, plant.asked) == (3, ["small", "small", "large"])  # one repair


async def test_where_no_model_answers_the_first_error_is_the_records(tmp_path):
    refusals = {name: RecordError(f"{name} refuses", code="model_refused") for name in ("small", "large")}
    [outcome] = await Plant(tmp_path, by_model(**refusals), fallback=["large"]).outcomes("it")
    assert (outcome.error.code, str(outcome.error), outcome.error.details["model"]) == (
        "model_refused",
        "small refuses",
        "small",
    )


@pytest.mark.parametrize("trouble", [AWAY, OPEN])
async def test_where_all_models_are_away_the_batch_waits(tmp_path, trouble):
    plant = Plant(tmp_path, by_model(small=trouble, large=AWAY), fallback=["large"])
    with pytest.raises(type(trouble)):
        await plant.outcomes("it")


@pytest.mark.parametrize(("trouble", "code"), [(AWAY, "unavailable"), (Timeout("no answer in time"), "timeout")])
async def test_at_the_last_attempt_only_the_record_without_an_answer_is_kept_back(tmp_path, trouble, code):
    def turn(call):
        if "slow" in call.messages[0].content:
            raise trouble
        return GOOD

    fine, kept = await Plant(tmp_path, turn).outcomes("quick", "slow", attempt=LAST)
    assert fine.output == {"mood": "good"}
    assert (kept.error.code, "after the last attempt" in str(kept.error)) == (code, True)


async def test_an_open_breaker_is_waited_for_even_at_the_last_attempt(tmp_path):
    with pytest.raises(BreakerOpen):
        await Plant(tmp_path, by_model(small=OPEN)).outcomes("it", attempt=LAST)


async def test_the_last_good_answer_of_an_earlier_run_stands_in(tmp_path):
    journal, refused = MemoryJournal(), RecordError("refused", code="refused")
    await Plant(tmp_path, by_model(small=BAD), journal, fallback={"cached": True}).outcomes("it", run_id="run_1")

    other = {"prompt": "Quite another question: {{ input.review }}", "fallback": {"cached": True}}
    [outcome] = await Plant(tmp_path, by_model(small=refused), journal, **other).outcomes("it", run_id="run_2")

    assert (outcome.output, outcome.answered_by) == ({"mood": "bad"}, "cached answer of run_1")
    assert (outcome.spent.cost, outcome.spent.calls_made) == (0.0, 0)


async def test_a_cached_answer_of_another_shape_does_not_stand_in(tmp_path):
    journal, refused = MemoryJournal(), RecordError("refused", code="refused")
    await Plant(tmp_path, by_model(small=BAD), journal, fallback={"cached": True}).outcomes("it")
    other = {"output": {"stars": "integer"}, "fallback": {"cached": True}}
    [outcome] = await Plant(tmp_path, by_model(small=refused), journal, **other).outcomes("it")
    assert (outcome.output, outcome.error.code) == (None, "refused")


async def test_a_fixed_output_stands_in_for_a_records_own_failure(tmp_path):
    refused = RecordError("refused", code="refused")
    [outcome] = await Plant(tmp_path, by_model(small=refused), fallback={"value": {"mood": "bad"}}).outcomes("it")
    assert (outcome.output, outcome.error, outcome.answered_by) == ({"mood": "bad"}, None, "fallback value")


async def test_a_fixed_output_does_not_stand_in_for_an_endpoint_that_is_away(tmp_path):
    with pytest.raises(DependencyUnavailable):
        await Plant(tmp_path, by_model(small=AWAY), fallback={"value": {"mood": "bad"}}).outcomes("it")


def test_a_fixed_output_of_another_shape_is_found_before_the_first_record(tmp_path):
    with pytest.raises(PermanentError, match="does not fit the declared `output`"):
        Plant(tmp_path, by_model(small=GOOD), fallback={"value": {"mood": "odd"}})


async def test_retry_asks_anew_instead_of_reading_the_journal(tmp_path):
    answers = iter(["nonsense", "nonsense", '{"mood": "good"}'])
    plant = Plant(tmp_path, lambda _: answer_of(next(answers)), on_failure="retry")
    clock = ManualClock()
    [outcome] = await plant.outcomes("it", clock=clock)
    assert outcome.output == {"mood": "good"}
    assert (outcome.spent.calls_made, len(clock.slept)) == (3, 1)


async def test_a_call_that_is_repeated_is_journalled_apart(tmp_path):
    journal = MemoryJournal()
    answers = iter(["nonsense", "nonsense", '{"mood": "good"}'])
    await Plant(tmp_path, lambda _: answer_of(next(answers)), journal, on_failure="retry").outcomes("it")

    def never(call):
        raise AssertionError("paid already")

    [again] = await Plant(tmp_path, never, journal, on_failure="retry").outcomes("it")
    assert again.output == {"mood": "good"}


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ({"fallback": ["large"], "on_failure": "skip"}, "no `fallback` with on_failure: skip"),
        ({"on_failure": "fallback"}, "`fallback`, which on_failure: fallback needs"),
        ({"fallback": {"cached": True, "value": {}}}, "one of a list of models, `value: {...}` and `cached: true`"),
        ({"fallback": {}}, "one of a list of models, `value: {...}` and `cached: true`"),
    ],
)
def test_wishes_that_contradict_each_other_are_mistakes(transform, expected):
    from loom_common.domain.definition.reader import parse

    definition = orjson.loads(plan_of(AI).pipeline.model_dump_json(exclude_defaults=True))
    definition["transform"] = {**AI, **transform}
    with pytest.raises(InvalidDefinition) as error:
        parse(definition)
    assert expected in str(error.value)
