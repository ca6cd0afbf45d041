"""Tests the step that joins records with the rows of another source: by keys, and by what a model chooses."""

from __future__ import annotations

import json
import re

import pytest

from loom_ai.journal.models import JournalledModels
from loom_ai.ports import ModelAnswer
from loom_ai.simulated.answers import vector_for
from loom_ai.stores.joined.memory import MemoryJoinedTables
from loom_ai.stores.memory.journal import MemoryJournal
from loom_ai.wire.embeddings import vectors_text
from loom_common.config.credentials import Credentials
from loom_common.domain.steps import joining
from loom_common.errors import PermanentError, SourceError
from loom_common.flow import Stage
from loom_connectors.ports.context import ConnectorContext
from loom_transformer.handler import Transformer
from loom_transformer.joining.near_rows import text_of
from loom_transformer.joining.tables import OtherSources
from loom_transformer.transforms.catalog import Catalog
from support.handling import outgoing_of, runner_of
from support.plans import GivenPlans, batch_of, plan_of
from support.scripted_model import ScriptedModel, answer_of
from support.stepping import counts, fact_of, kept, outputs

VENDORS = "id,name,country\nv1,Acme Foods Ltd,FR\nv2,Acme Incorporated,US\nv3,Globex Ltd,DE\n"
BY_ID = {"name": "vendor", "type": "join", "source": "vendors.csv", "on": {"vendor": "id"}, "fields": ["country"]}
ALIKE = {
    "name": "vendor", "type": "join", "source": "vendors.csv", "alike": {"supplier": "name"}, "candidates": 2,
    "model": "gpt-4o-mini", "base_url": "http://127.0.0.1:20001/v1", "fields": {"found": "id"},
    "prompt": "Which is {{ input.supplier }}? {% for n, v in candidates.items() %}{{ n }} {{ v.name }};{% endfor %}",
}  # fmt: skip


NEAR = {
    "name": "vendor", "type": "join", "source": "vendors.csv", "alike": {"supplier": "name"}, "fields": {"found": "id"},
    "embedding": {"model": "text-embedding-3-small", "dimensions": 64, "base_url": "http://127.0.0.1:20001/v1"},
}  # fmt: skip


class Vectors(ScriptedModel):
    """Gives texts that share words vectors that are near each other, and answers questions as it is told."""

    async def complete(self, call, waits=None):
        if not call.embedding:
            return await super().complete(call, waits)
        self.calls.append(call)
        vectors = [vector_for(each.content, call.dimensions) for each in call.messages]
        return ModelAnswer(vectors_text(vectors), "stop", call.model, len(vectors), 0, 0, 0.1)

    @property
    def embedded(self):
        """Return the texts whose vectors it was asked for."""
        return [each.content for call in self.calls if call.embedding for each in call.messages]


class Worker:
    """Takes batches of a run through the step, as one of several workers that share a store and a journal."""

    def __init__(self, folder, step, store=None, model=None, journal=None, reads=True, **plan):
        self.plan = plan_of({"steps": [step]}, every_hop=True, **plan)
        self.model = model or ScriptedModel()
        context = ConnectorContext(folder=folder, credentials=Credentials(), allowed=(folder,))
        sources = OtherSources(lambda: store or MemoryJoinedTables(), (lambda _: context) if reads else None)
        models = JournalledModels(self.model, journal or MemoryJournal())
        catalog = Catalog(models, folder, sources=sources)
        self.transformer = Transformer(runner_of(GivenPlans(self.plan), catalog.transform_of, Stage.TRANSFORM))

    async def take(self, *inputs, run_id="run_1"):
        return [each.message for each in await outgoing_of(self.transformer, batch_of(self.plan, inputs, run_id))]


def chosen(call):
    """Answer with the candidate whose name is asked for, or with none."""
    asked, rows = re.fullmatch(r"Which is (.*?)!?\? (.*)", call.messages[-1].content).groups()
    numbers = [int(n) for n, name in re.findall(r"(\d+) ([^;]+);", rows) if name.split()[:2] == asked.split()[:2]]
    return answer_of(json.dumps({"matching_candidate": numbers[0] if numbers else 0}))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vendors.csv").write_text(VENDORS, encoding="utf-8")
    return tmp_path


async def test_records_get_the_fields_of_the_row_with_their_key(folder):
    made = await Worker(folder, {**BY_ID, "prefix": "vendor_"}).take(
        {"vendor": "v3"}, {"vendor": "v9"}, {"vendor": None}
    )
    assert outputs(made) == {
        "r0": {"vendor_country": "DE"},
        "r1": {"vendor_country": None},
        "r2": {"vendor_country": None},
    }


@pytest.mark.parametrize(("missing", "ends"), [("skip", ["r0"]), ("fail", ["r0"]), (None, ["r0", "r1"])])
async def test_what_becomes_of_records_without_a_row_the_step_says(folder, missing, ends):
    made = await Worker(folder, {**BY_ID, "missing": missing}).take({"vendor": "v1"}, {"vendor": "v9"})
    assert list(outputs(made)) == ends
    assert fact_of(made).header.tally.filtered == (missing == "skip")
    assert counts(made, "seen", "filtered") == {"vendor": (2, int(missing == "skip"))}
    reasons = {name: (each.code, each.reason) for name, each in kept(made).items()}
    expected = {"r1": ("no_match", "Step vendor: no row of vendors.csv matches the record")}
    assert reasons == (expected if missing == "fail" else {})


async def test_several_rows_with_one_key_are_a_failure_unless_the_first_is_wanted(folder):
    (folder / "vendors.csv").write_text(VENDORS + "v1,Other,IT\n", encoding="utf-8")
    made = await Worker(folder, BY_ID).take({"vendor": "v1"}, {"vendor": "v2"}, {"other": 1})
    assert {name: each.code for name, each in kept(made).items()} == {"r0": "several_matches", "r2": "missing_field"}
    made = await Worker(folder, {**BY_ID, "several": "first"}).take({"vendor": "v1"})
    assert outputs(made) == {"r0": {"country": "FR"}}


async def test_a_model_chooses_among_the_rows_that_share_words_and_is_asked_once(folder):
    journal, store = MemoryJournal(), MemoryJoinedTables()
    inputs = (
        {"supplier": "Acme Incorporated!"},
        {"supplier": "ACME Gmbh"},
        {"supplier": "Nobody"},
        {"supplier": "globex"},
    )
    first = Worker(folder, ALIKE, store, ScriptedModel(chosen), journal)
    made = await first.take(*inputs)
    assert {name: each["found"] for name, each in outputs(made).items()} == {
        "r0": None, "r1": None, "r2": None, "r3": None
    } | {"r0": "v2"}  # fmt: skip
    asked = sorted(each.messages[-1].content for each in first.model.calls)
    assert asked == [  # the record without a word in common was not asked about
        "Which is ACME Gmbh? 1 Acme Incorporated;2 Acme Foods Ltd;",
        "Which is Acme Incorporated!? 1 Acme Incorporated;2 Acme Foods Ltd;",
        "Which is globex? 1 Globex Ltd;",
    ]
    assert counts(made, "seen", "calls_made") == {"vendor": (4, 3)}
    (folder / "vendors.csv").unlink()
    again = Worker(folder, ALIKE, store, ScriptedModel(PermanentError("nobody is asked again")), journal)
    assert outputs(await again.take(*inputs)) == outputs(made)


async def test_the_row_whose_text_is_nearest_matches_where_it_is_near_enough(folder):
    step, model = {**NEAR, "similarity": 0.5, "missing": "fail"}, Vectors()
    inputs = ({"supplier": "acme incorporated"}, {"supplier": "Globex Holding Ltd"}, {"supplier": "Nobody"})
    made = await Worker(folder, step, model=model).take(*inputs, {"supplier": " "}, {"other": 1})
    assert outputs(made) == {"r0": {"found": "v2"}, "r1": {"found": "v3"}}
    codes = {name: each.code for name, each in kept(made).items()}
    assert codes == {"r2": "no_match", "r3": "no_match", "r4": "missing_field"}
    assert model.embedded[:3] == ["Acme Foods Ltd", "Acme Incorporated", "Globex Ltd"]
    turned = await Worker(folder, step, model=Vectors()).take(*inputs[::-1])
    assert [each["found"] for each in outputs(turned).values()] == ["v3", "v2"]


async def test_a_row_that_is_exactly_as_near_as_it_has_to_be_matches(folder):
    step = {**NEAR, "similarity": 1.0, "missing": "fail"}
    made = await Worker(folder, step, model=Vectors()).take({"supplier": "Acme Incorporated"}, {"supplier": "Acme"})
    assert outputs(made) == {"r0": {"found": "v2"}}


async def test_without_a_model_the_nearest_row_is_the_only_one_however_many_are_near_enough(folder):
    step = {**NEAR, "similarity": 0.1, "several": "fail"}
    made = await Worker(folder, step, model=Vectors()).take({"supplier": "Acme Incorporated"})
    assert outputs(made) == {"r0": {"found": "v2"}}


async def test_a_model_chooses_among_the_nearest_rows_and_no_vector_is_paid_for_twice(folder):
    journal, store = MemoryJournal(), MemoryJoinedTables()
    step = {**ALIKE, "embedding": NEAR["embedding"], "similarity": 0.3}
    inputs = ({"supplier": "Acme Incorporated"}, {"supplier": "Acme Ltd"}, {"supplier": "Nobody"})
    first = Worker(folder, step, store, Vectors(chosen), journal)
    made = await first.take(*inputs)
    assert {name: each["found"] for name, each in outputs(made).items()} == {"r0": "v2", "r1": None, "r2": None}
    asked = [call.messages[-1].content for call in first.model.calls if not call.embedding]
    assert len(asked) == 2  # no row is near enough to the third
    assert asked[0].startswith("Which is Acme Incorporated? 1 Acme Incorporated;")
    assert len(first.model.embedded) == len(set(first.model.embedded)) == 5  # the rows, and texts that no row has
    assert counts(made, "calls_made")["vendor"][0] >= 2
    again = Worker(folder, step, store, ScriptedModel(PermanentError("nobody is asked again")), journal)
    assert outputs(await again.take(*inputs[::-1])) == {
        f"r{2 - int(name[1:])}": each for name, each in outputs(made).items()
    }


async def test_more_rows_than_a_worker_holds_the_vectors_of_are_refused(folder, monkeypatch):
    monkeypatch.setattr(joining, "MOST_VECTORS", 2)
    with pytest.raises(SourceError, match=r"more rows than `max_rows` allows \(2\)"):
        await Worker(folder, {**NEAR, "similarity": 0.5}, model=Vectors()).take({"supplier": "Acme"})


async def test_a_run_and_its_replays_see_the_rows_that_were_there_first(folder):
    store = MemoryJoinedTables()
    before = outputs(await Worker(folder, BY_ID, store).take({"vendor": "v1"}))
    (folder / "vendors.csv").write_text(VENDORS.replace("FR", "IT"), encoding="utf-8")
    assert outputs(await Worker(folder, BY_ID, store).take({"vendor": "v1"})) == before
    replay = {"replay": {"run_id": "run_1", "origin": "run_1"}}
    assert outputs(await Worker(folder, BY_ID, store, **replay).take({"vendor": "v1"}, run_id="run_2")) == before
    assert outputs(await Worker(folder, BY_ID, store, reads=False).take({"vendor": "v1"})) == before
    other = await Worker(folder, BY_ID, store).take({"vendor": "v1"}, run_id="run_3")
    assert outputs(other) == {"r0": {"country": "IT"}}
    with pytest.raises(SourceError, match="that run run_4 joined with are not kept any more"):
        await Worker(folder, BY_ID, store, reads=False).take({"vendor": "v1"}, run_id="run_4")


async def test_records_are_told_apart_by_the_version_that_they_were_joined_with(folder):
    made = await Worker(folder, BY_ID).take({"vendor": "v1"})
    [answered] = {each.answered_by for message in made for each in getattr(message, "records", ())}
    assert re.fullmatch(r"vendor: vendors\.csv@[0-9a-f]{12}", answered)


@pytest.mark.parametrize(
    ("content", "changes", "words"),
    [
        ("id,land\nv1,FR\n", {}, "line 2 of vendors.csv has no column 'country'; it has id, land"),
        (VENDORS, {"max_rows": 2}, r"more rows than `max_rows` allows \(2\)"),
        (VENDORS + "v4\n", {}, "line 5 of vendors.csv cannot be read"),
        (None, {}, "vendors.csv"),
    ],
)
async def test_a_source_that_cannot_be_joined_with_fails_the_run(folder, content, changes, words):
    (folder / "vendors.csv").unlink()
    if content is not None:
        (folder / "vendors.csv").write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match=words):
        await Worker(folder, {**BY_ID, **changes}).take({"vendor": "v1"})


def test_the_text_that_vectors_are_made_of_leaves_out_what_is_empty_and_no_number():
    assert text_of(["lamp", None, "", 0, False]) == "lamp, 0, False"
