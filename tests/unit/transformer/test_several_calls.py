"""Transforms whose question is asked several times for a record."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from pydantic import ValidationError

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.domain.checks.field_names import output_fields
from loom_common.worker.context import Context
from loom_transformer.transforms.catalog import Catalog
from support.plans import batch_of, plan_of
from support.scripted_model import ScriptedModel, answer_of

AI = {
    "type": "ai",
    "prompt": "{{ input.review }}",
    "model": "openai:gpt-4o-mini",
    "base_url": "http://h/v1",
    "output": {"mood": {"enum": ["good", "bad"]}},
    "temperature": 0.7,
}


def _moods(*moods):
    return lambda call: answer_of(orjson.dumps({"mood": moods[call.sample]}).decode())


async def _outcome(config, *script):
    plan, model = plan_of({**AI, **config}), ScriptedModel(*script)
    transform = Catalog(JournalledModels(model, MemoryJournal()), Path()).transform_of(plan)
    (outcome,) = await transform.apply("run_1", batch_of(plan, [{"review": "x"}]).records, Context())
    return model, outcome


async def test_the_output_says_how_many_samples_agree():
    _, outcome = await _outcome({"n": 3}, _moods("good", "bad", "good"))
    assert outcome.output == {"mood": "good", "agreement": pytest.approx(2 / 3)}


@pytest.mark.parametrize(
    ("config", "output"),
    [
        ({"agreement": "share"}, {"mood": "good", "share": 1.0}),
        ({"agreement": None}, {"mood": "good"}),
        ({"pick": "first_valid"}, {"mood": "good"}),
    ],
)
async def test_the_field_is_named_by_the_pipeline_or_left_out(config, output):
    _, outcome = await _outcome({"n": 2, **config}, _moods("good", "good"))
    assert outcome.output == output


async def test_the_judge_is_asked_where_the_transform_is_unless_it_has_an_address_of_its_own():
    def judging(call):
        mood = answer_of('{"mood": "good"}')
        return answer_of('{"score": 1, "reasons": ""}') if call.purpose == "judge" else mood

    model, _ = await _outcome({"gleaning": {"judge": "openai:gpt-4o", "accept": "score >= 0.9"}}, judging)
    assert [(call.model, call.base_url) for call in model.calls] == [
        ("gpt-4o-mini", "http://h/v1"),
        ("gpt-4o", "http://h/v1"),
    ]
    judge = {"model": "mine", "base_url": "http://j/v1", "criteria": "Only English."}
    model, _ = await _outcome({"gleaning": {"judge": judge}}, judging)
    assert (model.calls[1].model, model.calls[1].base_url) == ("mine", "http://j/v1")
    assert "Only English." in model.calls[1].messages[0].content


def test_the_agreement_is_a_column_of_the_output():
    transform = plan_of({**AI, "n": 3}).pipeline.transform
    assert transform.declared_schema["properties"]["agreement"] == {"type": "number", "minimum": 0, "maximum": 1}
    assert "agreement" not in transform.shape
    assert output_fields({"transform": {**AI, "n": 3}}, None).names == ("mood", "agreement")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"n": 3, "temperature": 0}, "a temperature above 0"),
        ({"n": 1, "pick": "vote"}, "`n` above 1"),
        ({"vote_by": "mood"}, "`n` above 1"),
        ({"n": 3, "judge": "gpt-4o"}, "`pick: judge`"),
        ({"n": 3, "pick": "judge", "vote_by": "mood"}, "no `vote_by`"),
        ({"n": 3, "vote_by": "moood"}, "a field of `output`: mood"),
        ({"n": 3, "agreement": "mood"}, "another name than `mood`"),
        ({"n": 3, "records_per_call": 5}, "no `records_per_call` beside `n`"),
        ({"gleaning": {}, "records_per_call": 5}, "no `records_per_call` beside `gleaning`"),
        ({"gleaning": {"accept": "score > 1"}}, "number"),
        ({"gleaning": {"validation_prompt": "x", "judge": {"criteria": "y"}}}, "says the same"),
        ({"gleaning": {"validation_prompt": "Is {{ input.x }} named?"}}, "no template"),
        ({"gleaning": {"judge": "opanai:gpt-4o"}}, "openai:gpt-4o"),
    ],
)
def test_what_does_not_fit_together_is_refused(config, expected):
    with pytest.raises(ValidationError) as refused:
        plan_of({**AI, **config})
    assert expected in str(refused.value)
