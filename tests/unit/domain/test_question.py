"""Tests what one question holds: system prompt, turns and examples, chosen and rendered for a record."""

import pytest

from loom_common.domain.checks.plan_check import plan_mistakes
from loom_common.domain.definition.reader import parse
from loom_common.domain.question.examples import read_examples
from loom_common.domain.question.template import QuestionTemplate, Turn, written_question
from loom_common.errors import InvalidDefinition, PermanentError, RecordError
from support.plans import plan_of

MOOD = {"mood": {"enum": ["good", "bad"]}, "stars": "integer"}
SCHEMA = {
    "type": "object",
    "properties": {"mood": {"enum": ["good", "bad"]}, "stars": {"type": "integer"}},
    "required": ["mood", "stars"],
    "additionalProperties": False,
}
CSV = 'text,kind,mood,stars\nfine,film,good,4\nawful,book,bad,1\n"so\nso",film,bad,2\n'
AI = {"type": "ai", "model": "m", "prompt": "Judge: {{ input.text }}", "output": MOOD}


def question(data, files=None, index=None, **changes):
    plan = plan_of({**AI, **changes}, files or {"ex.csv": CSV}, params={"tone": "kindly"})
    return QuestionTemplate(plan, plan.pipeline.transform, index).render(data)


def test_system_prompt_and_turns_stand_in_front_of_the_prompt():
    asked = question(
        {"text": "x"},
        {"sys.txt": "Be {{ params.tone }} to {{ input.text }}."},
        system="sys.txt",
        messages=[{"role": "user", "content": "Ready?"}, {"role": "assistant", "content": "Yes"}],
    )
    assert asked.prompt == "Judge: x"
    assert asked.before == (Turn("system", "Be kindly to x."), Turn("user", "Ready?"), Turn("assistant", "Yes"))
    assert asked.shown == (
        "--- system ---\nBe kindly to x.\n\n--- user ---\nReady?\n\n--- assistant ---\nYes\n\n--- user ---\nJudge: x"
    )


def test_the_last_message_is_the_prompt_where_there_is_no_other():
    plan = plan_of({"type": "ai", "model": "m", "messages": [{"role": "user", "content": "{{ input.a }}?"}]})
    assert plan.pipeline.transform.prompt == "{{ input.a }}?"
    assert plan.pipeline.transform.messages == []
    assert QuestionTemplate(plan, plan.pipeline.transform).render({"a": 1}).shown == "1?"


def test_examples_are_turns_of_their_own_with_the_prompt_of_the_pipeline():
    asked = question({"text": "x"}, examples={"file": "ex.csv", "count": 1})
    assert asked.before == (Turn("user", "Judge: fine"), Turn("assistant", '{"mood":"good","stars":4}'))
    assert len(question({"text": "x"}, examples="ex.csv").before) == 6


def test_examples_stand_where_a_template_shows_them():
    prompt = "{% for e in examples %}{{ e.input.text }}={{ e.output.mood }};{% endfor %} {{ input.text }}"
    asked = question({"text": "x"}, prompt=prompt, examples={"file": "ex.csv", "count": 2})
    assert (asked.prompt, asked.before) == ("fine=good;awful=bad; x", ())
    whole = question({"text": "x"}, system="{{ examples }}", examples={"file": "ex.csv", "count": 1})
    assert whole.before == (
        Turn("system", '[{"input": {"text": "fine", "kind": "film"}, "output": {"mood": "good", "stars": 4}}]'),
    )


@pytest.mark.parametrize(
    ("kind", "shown"),
    [("film", ["Judge: fine", "Judge: so\nso"]), ("book", ["Judge: awful"]), ("play", []), (None, [])],
)
def test_examples_by_field_have_the_value_of_the_record(kind, shown):
    config = {"file": "ex.csv", "choose": "by_field", "by": "kind"}
    asked = question({"text": "x", "kind": kind}, examples=config)
    assert [turn.text for turn in asked.before if turn.role == "user"] == shown


def test_a_number_of_the_record_matches_the_text_of_a_csv_file():
    files = {"ex.csv": "text,year,mood,stars\nold,1999,bad,1\nnew,2024,good,5\n"}
    asked = question(
        {"text": "x", "year": 2024}, files, examples={"file": "ex.csv", "choose": "by_field", "by": "year"}
    )
    assert asked.before[0].text == "Judge: new"


def test_the_nearest_examples_are_shown_with_the_most_alike_last():
    def index(texts):
        assert list(texts) == ["fine", "awful", "so\nso"]
        return lambda text: sorted(range(len(texts)), key=lambda at: texts[at] != text)

    config = {"file": "ex.csv", "choose": "nearest", "count": 2, "by": "text"}
    asked = question({"text": "awful"}, examples=config, index=index)
    assert [turn.text for turn in asked.before if turn.role == "user"] == ["Judge: fine", "Judge: awful"]
    assert question({"text": "awful"}, examples=config).before == ()  # shown where the model of the index is not


def test_a_record_that_lacks_what_the_system_prompt_names_fails_alone():
    with pytest.raises(RecordError, match=r"The prompt names input\.who"):
        question({"text": "x"}, system="For {{ input.who }}.")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"input": {"text": "a"}, "output": {"mood": "good", "stars": 4}}\n\n', "x.jsonl"),
        ('{"text": "a", "mood": "good", "stars": 4}', "x.jsonl"),
        ("- input: {text: a}\n  output: {mood: good, stars: 4}\n", "x.yaml"),
        ('[{"text": "a", "output": {"mood": "good", "stars": 4}}]', "x.json"),
        ('text,output\na,"{""mood"": ""good"", ""stars"": 4}"\n', "x.csv"),
    ],
)
def test_each_format_and_form_gives_the_same_example(text, name):
    examples, mistakes = read_examples(text, name, SCHEMA)
    assert mistakes == []
    assert [(dict(each.input), each.output) for each in examples] == [({"text": "a"}, {"mood": "good", "stars": 4})]


def test_free_text_is_the_output_of_a_transform_without_a_shape():
    examples, mistakes = read_examples("q,output\nwhy,because\n", "x.csv", None)
    assert (mistakes, examples[0].answer, examples[0].line) == ([], "because", 2)


@pytest.mark.parametrize(
    ("text", "name", "line", "words"),
    [
        ("text,mood,stars\na,good,4\nb,odd,4\n", "x.csv", 3, "mood: 'odd' is not one of"),
        ('text,mood,stars\n"a\nb",good,many\n', "x.csv", 2, "stars: 'many' is not of type 'integer'"),
        ("text,mood,stars\na,good\n", "x.csv", 2, "2 values"),
        ("text,kind\na,b\n", "x.csv", 2, "no output among text, kind"),
        ('text\n"a', "x.csv", 2, "unexpected end of data"),
        ('{"text": "a", "mood": "good", "stars": 4}\n{', "x.jsonl", 2, "no JSON"),
        ("- 1\n", "x.yaml", 1, "a number"),
        ("- &a {text: a, mood: good, stars: 4}\n- *a\n", "x.yaml", 1, "an alias"),
        ("a: b: c", "x.yaml", 1, "mapping values are not allowed here"),
        ("text: a", "x.yaml", 1, "no list"),
        ("", "x.csv", 1, "no example"),
        ("", "x.parquet", 1, "a file that ends in .parquet"),
    ],
)
def test_a_mistake_in_a_file_of_examples_has_its_line(text, name, line, words):
    _, mistakes = read_examples(text, name, SCHEMA)
    assert mistakes
    assert (mistakes[0].line, words in mistakes[0].found) == (line, True), mistakes[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"messages": [{"role": "assistant", "content": "a"}], "prompt": None}, "a turn of the `user` as the last one"),
        ({"examples": {"file": "x.csv", "choose": "by_field"}}, "`by`, the field"),
        ({"examples": {"file": "x.csv", "by": "kind"}}, "no `by` where `choose` is `fixed`"),
        ({"examples": {"file": "x.csv", "choose": "nearest"}}, "`count`"),
        ({"examples": {"file": "x.csv", "count": 2, "embedding": "m"}}, "`choose: nearest` beside `embedding`"),
        ({"examples": "x.csv", "records_per_call": 5}, "no `examples` beside `records_per_call`"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "one of system, user, assistant"),
    ],
)
def test_keys_that_do_not_fit_together_are_told(changes, words):
    transform = {key: value for key, value in {**AI, **changes}.items() if value is not None}
    definition = {"name": "p", "extract": {"source": "a.csv"}, "transform": transform, "load": {"destination": "b.csv"}}
    with pytest.raises(InvalidDefinition) as caught:
        parse(definition)
    assert any(words in str(each) for each in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    ("changes", "files", "words"),
    [
        ({"system": "gone.txt"}, {}, "transform.system: found 'gone.txt'"),
        ({"system": "{{ inptu.x }}"}, {}, "transform.system: found the unknown variable 'inptu'"),
        ({"messages": [{"role": "user", "content": "{{ params.x }}"}]}, {}, "transform.messages[0].content"),
        ({"prompt": "{{ examples }} {{ input.text }}"}, {}, "the unknown variable 'examples'"),
        ({"examples": "gone.csv"}, {}, "transform.examples.file: found 'gone.csv'"),
        ({"examples": "ex.csv"}, {"ex.csv": "text,mood,stars\na,odd,4\n"}, "ex.csv:2"),
        ({"examples": "ex.csv"}, {"ex.csv": "txt,mood,stars\na,bad,4\n"}, "`text` (the prompt names it)"),
    ],
)
def test_a_request_with_mistakes_in_its_question_is_refused(changes, files, words):
    plan = plan_of({**AI, **changes}, files)
    assert any(words in str(each) for each in plan_mistakes(plan)), list(map(str, plan_mistakes(plan)))


def test_what_is_asked_besides_is_part_of_the_version_of_a_prompt():
    def version(files, **changes):
        plan = plan_of({**AI, **changes}, files)
        return written_question(plan, plan.pipeline.transform)

    plain = version({})
    assert plain == AI["prompt"]
    texts = [
        plain,
        version({}, system="Be kind."),
        version({"ex.csv": CSV}, examples="ex.csv"),
        version({"ex.csv": CSV + "more,film,bad,1\n"}, examples="ex.csv"),
        version({"ex.csv": CSV}, examples={"file": "ex.csv", "count": 2}),
        version({}, messages=[{"role": "user", "content": "Hi"}]),
    ]
    assert len(set(texts)) == len(texts)


def test_a_plan_without_its_examples_ends_the_run():
    with pytest.raises(PermanentError, match=r"lacks the examples gone\.csv"):
        question({"text": "x"}, examples="gone.csv")
