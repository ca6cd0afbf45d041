from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.errors import RecordError, TransientError, UserCodeError
from loom_common.worker.context import Context
from loom_transformer.scoring.answers import at_fault, output_of
from loom_transformer.transforms.catalog import Catalog
from loom_transformer.transforms.scorer import Scorers
from loom_transformer.vader import label, vader
from support.plans import batch_of, plan_of
from support.scripted_model import ScriptedModel

MODULE = """
import asyncio, datetime, decimal
class Point: pass
def double(record): return {"n": record["n"] * 2}
async def later(record):
    await asyncio.sleep(0)
    return {"n": record["n"] + 1}
def spoil(record):
    record["n"] = "spoilt"
    record["inner"]["m"] = "spoilt"
    return {"ok": True}
def dates(record): return {"d": datetime.date(2024, 1, 2), "x": decimal.Decimal("1.50"), "t": (1, 2)}
def number(record): return 3
def point(record): return {("a", "b"): Point()}
def quits(record): raise SystemExit(3)
def length(text): return {"length": len(text)}
class Counter:
    made = 0
    def __init__(self): type(self).made += 1
    def __call__(self, text): return {"made": self.made, "n": len(text)}
class Uncallable: pass
class Broken:
    def __init__(self): raise OSError("no weights")
"""


def _catalog(folder):
    (folder / "own.py").write_text(MODULE)
    return Catalog(JournalledModels(ScriptedModel(), MemoryJournal()), folder)


async def _apply(folder, transform, records):
    plan = plan_of(transform)
    batch = batch_of(plan, records)
    return batch, await _catalog(folder).transform_of(plan).apply("run_1", batch.records, Context())


@pytest.mark.parametrize(("name", "results"), [("double", [2, 4]), ("later", [2, 3])])
async def test_a_function_is_called_for_each_record_sync_or_async(tmp_path, name, results):
    _, outcomes = await _apply(tmp_path, {"type": "python", "function": f"own:{name}"}, [{"n": 1}, {"n": 2}])
    assert [outcome.output for outcome in outcomes] == [{"n": n} for n in results]


async def test_a_function_cannot_change_the_input(tmp_path):
    batch, (outcome,) = await _apply(
        tmp_path, {"type": "python", "function": "own:spoil"}, [{"n": 1, "inner": {"m": 2}}]
    )
    assert outcome.output == {"ok": True}
    assert batch.records[0].input == {"n": 1, "inner": {"m": 2}}


async def test_what_a_function_returns_becomes_json_values(tmp_path):
    _, (outcome,) = await _apply(tmp_path, {"type": "python", "function": "own:dates"}, [{}])
    assert outcome.output == {"d": "2024-01-02", "x": "1.50", "t": [1, 2]}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("double", "own:double raised KeyError: 'n'"),
        ("later", "own:later raised KeyError: 'n'"),
        ("number", "own:number returned int, not a dict"),
        ("point", "own:point returned what is no JSON"),
        ("quits", "own:quits raised SystemExit: 3"),
    ],
)
async def test_a_function_that_fails_is_named_in_the_records_error(tmp_path, name, words):
    _, (outcome,) = await _apply(tmp_path, {"type": "python", "function": f"own:{name}"}, [{}])
    assert (outcome.output, outcome.error.code) == (None, "transform_error")
    assert words in str(outcome.error)


async def test_the_declared_shape_holds_for_functions_and_scorers(tmp_path):
    shape = {"n": {"type": "integer", "maximum": 3}}
    transform = {"type": "python", "function": "own:double", "output": shape}
    _, (fits, not_) = await _apply(tmp_path, transform, [{"n": 1}, {"n": 2}])
    assert fits.output == {"n": 2}
    assert (not_.output, not_.error.code) == (None, "invalid_output")
    assert "n: 4 is greater than the maximum of 3" in str(not_.error)


async def test_computing_leaves_the_event_loop_free(tmp_path):
    (tmp_path / "where.py").write_text("import threading\ndef f(record): return {'thread': threading.get_ident()}")
    _, (outcome,) = await _apply(tmp_path, {"type": "python", "function": "where:f"}, [{}])
    assert outcome.output["thread"] != threading.get_ident()


async def test_vader_scores_a_field(tmp_path):
    transform = {"type": "scorer", "scorer": "vader", "field": "review"}
    _, outcomes = await _apply(
        tmp_path, transform, [{"review": "A great film!"}, {"review": "Awful."}, {"review": "It is."}]
    )
    assert [outcome.output["sentiment"] for outcome in outcomes] == ["positive", "negative", "neutral"]
    assert outcomes[1].output["confidence"] == -outcomes[1].output["compound"] > 0


@pytest.mark.parametrize(
    ("compound", "expected"),
    [
        (1.0, "positive"),
        (0.05, "positive"),
        (0.0499, "neutral"),
        (0.0, "neutral"),
        (-0.0499, "neutral"),
        (-0.05, "negative"),
        (-1.0, "negative"),
    ],
)
def test_vaders_thresholds_are_its_authors(compound, expected):
    assert label(compound) == expected


@given(st.text(max_size=200))
def test_vader_answers_any_text_within_its_range(text):
    scored = SCORE(text)
    assert -1 <= scored["compound"] <= 1
    assert scored["sentiment"] == label(scored["compound"])


SCORE = vader()


@pytest.mark.parametrize(
    ("record", "words"),
    [({"text": "x"}, "The field 'review' is missing; the record has text"), ({"review": None}, "is empty")],
)
async def test_a_record_without_the_field_has_nothing_to_score(tmp_path, record, words):
    _, (outcome,) = await _apply(tmp_path, {"type": "scorer", "scorer": "vader", "field": "review"}, [record])
    assert outcome.error.code == "missing_field"
    assert words in str(outcome.error)


async def test_a_scorer_of_ones_own_is_a_function_or_a_class(tmp_path):
    for scorer, output in (("own:length", {"length": 2}), ("own:Counter", {"made": 1, "n": 2})):
        _, (outcome,) = await _apply(tmp_path, {"type": "scorer", "scorer": scorer, "field": "n"}, [{"n": 42}])
        assert outcome.output == output


def test_a_scorer_is_loaded_once_per_worker(tmp_path):
    (tmp_path / "own.py").write_text(MODULE)
    scorers = Scorers()
    assert scorers.get("own:Counter", tmp_path) is scorers.get("own:Counter", tmp_path)


@pytest.mark.parametrize(
    ("scorer", "words"),
    [
        ("vadr", "There is no scorer 'vadr'; there is vader, module:name, or a file"),
        ("own:Uncallable", "cannot be called"),
        ("own:Broken", "OSError: no weights"),
        ("own:nothing", "has no 'nothing'"),
    ],
)
def test_a_scorer_that_cannot_be_loaded_is_said_why(tmp_path, scorer, words):
    (tmp_path / "own.py").write_text(MODULE)
    with pytest.raises(UserCodeError, match=words):
        Scorers().get(scorer, tmp_path)


async def test_passthrough_gives_the_input_and_checks_a_declared_shape(tmp_path):
    _, outcomes = await _apply(tmp_path, {"type": "passthrough", "output": {"n": "integer"}}, [{"n": 1}, {"n": "x"}])
    assert [outcome.output for outcome in outcomes] == [None, None]
    assert [outcome.error and outcome.error.code for outcome in outcomes] == [None, "invalid_output"]


def test_a_records_own_error_stays_and_loom_verdicts_go_on_upwards():
    own = RecordError("odd", code="odd")
    assert at_fault(own, "f") is own
    with pytest.raises(TransientError):
        at_fault(TransientError("later"), "f")


LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()


@given(
    st.dictionaries(
        st.text(),
        st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5),
        max_size=4,
    )
)
def test_json_values_come_through_unchanged(value):
    assert output_of(value, "f", None) == value
