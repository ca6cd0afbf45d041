from __future__ import annotations

import pytest

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.errors import AccessRefused, DependencyUnavailable, PermanentError
from loom_common.worker.context import Context
from loom_transformer.transforms.catalog import Catalog
from support.plans import batch_of, plan_of
from support.scripted_model import ScriptedModel, answer_of

AI = {"type": "ai", "prompt": "prompts/judge.txt", "model": "openai:gpt-4o-mini", "base_url": "http://h/v1/"}
FILES = {"prompts/judge.txt": "{{ params.tone }}: {{ input.review }}", "context/shop.md": "A shop."}
MOOD = {"mood": {"enum": ["good", "bad"]}}


async def _outcomes(plan, records, *script, journal=None, run_id="run_1", folder=None):
    model = ScriptedModel(*script)
    transform = Catalog(JournalledModels(model, journal or MemoryJournal()), folder).transform_of(plan)
    return model, await transform.apply(run_id, batch_of(plan, records).records, Context())


@pytest.fixture
def plan(tmp_path):
    def make(files=FILES, params=None, reuse=True, **changes):
        return plan_of({**AI, **changes}, files, params=params or {"tone": "kindly"}, reuse=reuse)

    return make


async def test_the_prompt_of_the_plan_is_rendered_for_each_record(plan, tmp_path):
    model, outcomes = await _outcomes(
        plan(),
        [{"review": "one"}, {"review": "two"}],
        lambda call: answer_of(call.messages[0].content),
        folder=tmp_path,
    )
    assert model.prompts == ["kindly: one", "kindly: two"]
    assert [outcome.output for outcome in outcomes] == [{"text": "kindly: one"}, {"text": "kindly: two"}]


async def test_the_call_is_what_the_pipeline_says(plan, tmp_path):
    config = {"temperature": 0.3, "max_tokens": 9, "api_key": "${MY_KEY}", "output": MOOD}
    model, _ = await _outcomes(plan(**config), [{"review": "x"}], answer_of('{"mood": "good"}'), folder=tmp_path)
    (call,) = model.calls
    assert (call.provider, call.model, call.base_url) == ("openai", "gpt-4o-mini", "http://h/v1")
    assert call.temperature == 0.3
    assert call.max_tokens == 9
    assert call.api_key == "${MY_KEY}"
    assert call.purpose == "transform"
    assert call.schema["required"] == ["mood"]


async def test_context_files_stand_under_their_stems(plan, tmp_path):
    config = {"prompt": "{{ context.shop }} {{ input.review }}", "context": ["context/shop.md"]}
    model, _ = await _outcomes(plan(**config), [{"review": "x"}], folder=tmp_path)
    assert model.prompts == ["A shop. x"]


async def test_a_record_without_the_named_field_fails_alone_and_unasked(plan, tmp_path):
    model, (first, second) = await _outcomes(plan(), [{"reviw": "x"}, {"review": "y"}], folder=tmp_path)
    assert first.error.code == "prompt"
    assert "input.review" in str(first.error)
    assert second.error is None
    assert model.prompts == ["kindly: y"]


async def test_a_useless_answer_is_kept_with_prompt_and_raw_text(plan, tmp_path):
    _, (outcome,) = await _outcomes(plan(output=MOOD), [{"review": "x"}], answer_of("odd"), folder=tmp_path)
    assert outcome.error.code == "invalid_output"
    assert outcome.error.details["prompt"] == "kindly: x"
    assert outcome.error.details["raw"] == "odd"
    assert outcome.spent.calls_made == 2


async def test_reuse_and_age_are_the_pipelines(plan, tmp_path):
    async def calls(journal, run_id, **config):
        model, _ = await _outcomes(plan(**config), [{"review": "x"}], journal=journal, run_id=run_id, folder=tmp_path)
        return len(model.calls)

    journal = MemoryJournal()
    assert await calls(journal, "run_1") == 1
    assert await calls(journal, "run_2") == 0
    assert await calls(journal, "run_2", cache={"ttl": "0s"}) == 1
    assert await calls(journal, "run_3", cache={"enabled": False}) == 1
    assert await calls(journal, "run_4", reuse=False) == 1
    assert await calls(journal, "run_4", reuse=False) == 0  # redelivered: its own


async def test_of_several_failures_the_one_no_retry_mends_is_raised(plan, tmp_path):
    script = (DependencyUnavailable("away"), AccessRefused("no key"))
    with pytest.raises(AccessRefused, match="no key"):
        await _outcomes(plan(), [{"review": str(n)} for n in range(4)], *script, folder=tmp_path)


@pytest.mark.parametrize(
    ("config", "words"),
    [({"prompt": "{{ input."}, "line 1"), ({"context": ["gone.md"]}, "lacks the context files gone.md")],
)
def test_a_prompt_that_cannot_be_made_ends_the_run(plan, tmp_path, config, words):
    catalog = Catalog(JournalledModels(ScriptedModel(), MemoryJournal()), tmp_path)
    with pytest.raises(PermanentError, match=words):
        catalog.transform_of(plan(**config))


async def test_system_prompt_examples_and_turns_are_asked_in_their_order(plan, tmp_path):
    files = {"ex.jsonl": '{"review": "fine", "output": {"mood": "good"}}', "sys.txt": "You judge {{ params.tone }}."}
    config = {
        "prompt": "Judge: {{ input.review }}",
        "system": "sys.txt",
        "examples": "ex.jsonl",
        "messages": [{"role": "user", "content": "Ready?"}, {"role": "assistant", "content": "Yes"}],
        "output": MOOD,
    }
    model, _ = await _outcomes(plan(files, **config), [{"review": "x"}], answer_of('{"mood": "good"}'), folder=tmp_path)
    assert [(each.role, each.content) for each in model.calls[0].messages] == [
        ("system", "You judge kindly."),
        ("user", "Judge: fine"),
        ("assistant", '{"mood":"good"}'),
        ("user", "Ready?"),
        ("assistant", "Yes"),
        ("user", "Judge: x"),
    ]


async def test_another_example_is_another_question(plan, tmp_path):
    journal, asked = MemoryJournal(), []
    for output in ("good", "bad", "bad"):
        files = {"ex.jsonl": f'{{"review": "fine", "output": {{"mood": "{output}"}}}}'}
        config = plan(files, prompt="{{ input.review }}", examples="ex.jsonl", output=MOOD)
        script = answer_of('{"mood": "good"}')
        model, _ = await _outcomes(config, [{"review": "x"}], script, journal=journal, folder=tmp_path)
        asked.append(len(model.calls))
    assert asked == [1, 1, 0]


async def test_the_examples_that_are_most_like_a_record_come_last(plan, tmp_path):
    texts = ["the soup was cold", "my parcel never came", "the battery died", "the waiter was rude"]
    files = {"ex.csv": "review,mood\n" + "".join(f"{text},bad\n" for text in texts)}
    config = {
        "prompt": "{{ input.review }}",
        "output": MOOD,
        "examples": {"file": "ex.csv", "choose": "nearest", "count": 1},
    }
    model, _ = await _outcomes(
        plan(files, **config),
        [
            {"review": "where is my package, it was not delivered"},
            {"review": "the phone has to be charged twice a day"},
        ],
        answer_of('{"mood": "bad"}'),
        folder=tmp_path,
    )
    assert sorted(call.messages[0].content for call in model.calls) == ["my parcel never came", "the battery died"]


async def test_a_record_with_a_system_prompt_of_its_own_is_asked_alone(plan, tmp_path):
    config = {"system": "For {{ input.who }}.", "prompt": "{{ input.review }}", "records_per_call": 3}
    records = [{"review": str(n), "who": who} for n, who in enumerate(("ann", "ann", "bob"))]
    answers = lambda call: answer_of('{"record_1": "a", "record_2": "b"}' if call.schema else "alone")  # noqa: E731
    model, outcomes = await _outcomes(plan(**config), records, answers, folder=tmp_path)
    assert sorted(call.messages[0].content for call in model.calls) == ["For ann.", "For bob."]
    assert [each.output["text"] for each in outcomes] == ["a", "b", "alone"]


async def test_an_answer_beyond_its_bound_is_cut_off_kept_back_and_not_repaired(plan, tmp_path):
    bound = plan(prompt="{{ input.review }}", max_characters=5, output=MOOD)
    model, (outcome,) = await _outcomes(bound, [{"review": "x"}], answer_of("no JSON at all"), folder=tmp_path)
    assert (outcome.error.code, outcome.error.details["raw"]) == ("answer_too_long", "no JS")
    assert str(outcome.error) == "The answer has 14 characters, and `max_characters` allows 5"
    assert (len(model.calls), outcome.spent.calls_made) == (1, 1)


async def test_an_answer_beyond_its_bound_is_no_cached_fallback_either(plan, tmp_path):
    config = {
        "prompt": "{{ input.review }}",
        "max_characters": 5,
        "fallback": {"cached": True},
        "on_failure": "fallback",
    }
    _, (long, short) = await _outcomes(
        plan(**config),
        [{"review": "long"}, {"review": "s"}],
        lambda call: answer_of("a long answer" if call.messages[0].content == "long" else "short"),
        folder=tmp_path,
    )
    assert (long.error.code, long.output) == ("answer_too_long", None)
    assert short.output == {"text": "short"}
