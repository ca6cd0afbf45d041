"""Tests that the nearest texts are found by vectors, with NumPy and without it, and what stands in the way."""

from __future__ import annotations

import importlib.util

import pytest

from loom_ai.answers.nearest import NearestTexts
from loom_ai.answers.text_vectors import LONGEST, TextVectors, each_with_each
from loom_ai.http.endpoints import Endpoint
from loom_ai.journal.models import JournalledModels, Reuse
from loom_ai.ports import ModelAnswer, ModelCall, Payer
from loom_ai.stores.memory.journal import MemoryJournal
from loom_ai.wire.embeddings import vectors_text
from loom_common.errors import PermanentError, RecordError

VECTORS = {"north": (0.0, 2.0), "east": (3.0, 0.0), "north-east": (1.0, 1.0), "south": (0.0, -1.0), "flat": (1.0,)}
HERE = Endpoint("openai", "vectors", "http://127.0.0.1/v1")


class Vectorizer:
    """Gives the vectors of texts, and refuses those that it does not know."""

    def __init__(self) -> None:
        self.calls: list[ModelCall] = []

    async def complete(self, call: ModelCall, waits: object = None) -> ModelAnswer:
        self.calls.append(call)
        texts = [message.content for message in call.messages]
        if strange := [text for text in texts if text not in VECTORS]:
            raise RecordError(f"{strange[0]} is not known", code="model_refused")
        return ModelAnswer(vectors_text([VECTORS[text] for text in texts]), "stop", call.model, len(texts), 0, 0, 0.1)

    async def close(self) -> None: ...


class Kept(MemoryJournal):
    """Outlives the process that it stands for."""

    async def close(self) -> None: ...


async def found(model: Vectorizer, texts, asked, count=2, journal=None, **more):
    models = JournalledModels(model, journal or MemoryJournal())
    near = NearestTexts(TextVectors(models, HERE, Reuse(), 5.0, **more), texts)
    payers = [Payer("run_1", f"r{number}") for number in range(len(asked))]
    try:
        found = await near.nearest(asked, payers, count)
        return [each if isinstance(each, RecordError) else [place for place, _ in each] for each in found]
    finally:
        await models.close()


@pytest.mark.parametrize("numpy", [True, False])
async def test_the_nearest_come_first_and_of_equals_the_earlier(monkeypatch, numpy):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: find(name) if numpy or name != "numpy" else None)
    texts = ["south", "north", "east", "north-east", "north"]
    assert await found(Vectorizer(), texts, ["north", "east", " "], 3) == [[1, 4, 3], [2, 3, 0], []]


class AnyText(Vectorizer):
    """Gives every text the same vector."""

    async def complete(self, call: ModelCall, waits: object = None) -> ModelAnswer:
        self.calls.append(call)
        return ModelAnswer(vectors_text([(1.0,)] * len(call.messages)), "stop", call.model, 1, 0, 0, 0.1)


async def test_an_empty_text_is_asked_about_as_a_space_and_a_long_one_by_its_beginning():
    model = AnyText()
    models = JournalledModels(model, MemoryJournal())
    vectors = TextVectors(models, HERE, Reuse(), 5.0)
    await vectors.of(["", "x" * (LONGEST + 5)], [Payer("run_1", "r1"), Payer("run_1", "r2")])
    assert sorted(message.content for call in model.calls for message in call.messages) == [" ", "x" * LONGEST]
    await models.close()


async def test_the_journal_tells_which_record_paid_for_a_vector_also_where_several_shared_a_call():
    models = JournalledModels(AnyText(), MemoryJournal())
    vectors, other = TextVectors(models, HERE, Reuse(), 5.0), Payer("run_1", "r9")
    await vectors.of(["one", "two"], [Payer("run_1", "r1"), Payer("run_1", "r2")])
    await vectors.of(["alone"], [Payer("run_1", "r3")])
    paid = [await vectors.payer_of(text, other) for text in ("one", "two", "alone", "another")]
    assert [each and each.record_id for each in paid] == ["r1", "r1", "r3", None]  # the first of a call pays for it
    await models.close()


async def test_another_process_asks_for_no_vector_again():
    first, second, journal = Vectorizer(), Vectorizer(), Kept()
    texts = ["north", "south", "east"]
    await found(first, texts, ["north-east", "east"], journal=journal)
    assert [len(call.messages) for call in first.calls] == [3, 1]  # the east is known from the examples
    assert await found(second, texts, ["north-east", "east"], journal=journal) == [[0, 2], [2, 0]]
    assert second.calls == []


async def test_a_record_whose_text_is_refused_is_told_and_its_neighbours_go_on():
    north, strange = await found(Vectorizer(), ["north", "south"], ["north", "what"], 1)
    assert north == [0]
    assert isinstance(strange, RecordError)
    assert (strange.code, strange.details["model"]) == ("model_refused", "vectors")


async def test_an_example_without_a_vector_ends_the_run_with_its_number():
    with pytest.raises(PermanentError, match="Example 2, among which"):
        await found(Vectorizer(), ["north", "what"], ["north"])


async def test_vectors_of_other_lengths_are_told():
    (told,) = await found(Vectorizer(), ["north"], ["flat"])
    assert isinstance(told, RecordError)
    assert "has 1 numbers, and those of the examples have 2" in str(told)
    with pytest.raises(PermanentError, match="several lengths"):
        await found(Vectorizer(), ["north", "flat"], ["north"])


def test_a_provider_without_embeddings_is_refused():
    with pytest.raises(PermanentError, match="anthropic does not"):
        TextVectors(None, Endpoint("anthropic", "m", "http://127.0.0.1"), Reuse(), 5.0)


@pytest.mark.parametrize("numpy", [True, False])
def test_each_two_vectors_are_compared_by_their_angle(monkeypatch, numpy):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: find(name) if numpy or name != "numpy" else None)
    vectors = [[0.0, 2.0], [3.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
    assert each_with_each(vectors) == [
        (0, 1, 0.0), (0, 2, 0.707107), (0, 3, 0.0), (1, 2, 0.707107), (1, 3, 0.0), (2, 3, 0.0),
    ]  # fmt: skip
    assert each_with_each([]) == []
