"""Tests scorers that are files in the ONNX format."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from onnx import TensorProto, helper
from pydantic import ValidationError

from loom_ai.journal.models import JournalledModels
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.domain.definition.transforms.cascade import CheapTier
from loom_common.domain.definition.transforms.scorer import ScorerTransformConfig
from loom_common.domain.model_options.scorers import Classifier
from loom_common.errors import UserCodeError
from loom_common.worker.context import Context
from loom_transformer.scoring import onnx_file
from loom_transformer.scoring.onnx_file import OnnxClassifier
from loom_transformer.transforms.catalog import Catalog
from loom_transformer.vader import vader
from support.onnx_models import of_tokens, of_whole_texts, saved, with_a_map
from support.plans import batch_of, plan_of
from support.scripted_model import ScriptedModel

NAMED = {"id2label": {"0": "negative", "1": "positive"}}
LABELS = Classifier(("negative", "positive"))


def _labels(classifier, *texts):
    return [each[classifier._into] for each in classifier.score(list(texts))]


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("softmax", [False, True])
def test_texts_get_the_class_of_the_largest_number_and_its_probability(tmp_path, rank, softmax):
    model = OnnxClassifier(of_whole_texts(tmp_path, rank=rank, softmax=softmax, config=NAMED), Classifier(into="mood"))
    assert model.score(["good", "bad", "so so"]) == [
        {"mood": "positive", "confidence": pytest.approx(0.880797)},
        {"mood": "negative", "confidence": pytest.approx(0.880797)},
        {"mood": "negative", "confidence": 0.5},
    ]


def test_the_labels_of_the_pipeline_come_before_those_beside_the_model(tmp_path):
    model = OnnxClassifier(of_whole_texts(tmp_path, config=NAMED), Classifier(("no", "yes")))
    assert _labels(model, "good", "bad") == ["yes", "no"]


@pytest.mark.parametrize(
    ("names", "classifier", "config"),
    [
        (["negative", "positive"], Classifier(), None),
        ([0, 1], Classifier(), NAMED),
        ([0, 1], LABELS, None),
    ],
)
def test_a_model_that_names_its_classes_itself_says_them(tmp_path, names, classifier, config):
    model = OnnxClassifier(with_a_map(tmp_path, names, config), classifier)
    assert model.score(["good", "bad"]) == [
        {"label": "positive", "confidence": 0.75},
        {"label": "negative", "confidence": 0.75},
    ]


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32])
def test_a_model_of_tokens_says_of_a_text_the_same_whatever_stands_beside_it(tmp_path, kind):
    model = OnnxClassifier(of_tokens(tmp_path, NAMED, kind=kind), Classifier())
    texts = ["good", "it is good good good", "bad", "it is bad bad"]
    assert model.score(texts) == [found for each in texts for found in model.score([each])]
    assert _labels(model, *texts) == ["positive", "positive", "negative", "negative"]


def test_a_text_of_more_tokens_than_the_model_takes_is_cut(tmp_path):
    model = OnnxClassifier(of_tokens(tmp_path, {**NAMED, "max_position_embeddings": 3}), Classifier())
    assert _labels(model, "bad bad good good good good", "good bad bad") == ["negative", "negative"]


def _of(inputs, outputs):
    def made(folder):
        """Hand the first input on as every output."""
        nodes = [helper.make_node("Identity", [inputs[0][0]], [name]) for name, *_ in outputs]
        infos = [[helper.make_tensor_value_info(*each) for each in side] for side in (inputs, outputs)]
        return saved(folder, nodes, *infos)

    return made


def _spoilt(folder):
    file = of_whole_texts(folder)
    file.write_bytes(b"no model")
    return file


def _named_badly(folder):
    file = of_whole_texts(folder)
    (folder / "config.json").write_text("{")
    return file


def _no_tokenizer(folder):
    file = of_tokens(folder, NAMED, tokenizer=False)
    (folder / "tokenizer.json").write_text("{}")
    return file


FLOATS, TEXTS = TensorProto.FLOAT, TensorProto.STRING


@pytest.mark.parametrize(
    ("made", "classifier", "words"),
    [
        (lambda folder: folder / "absent.onnx", Classifier(), "There is no file"),
        (_spoilt, LABELS, "cannot be loaded by ONNX Runtime"),
        (_named_badly, Classifier(), "config.json cannot be read"),
        (of_whole_texts, Classifier(), "does not say what its classes are called"),
        (of_whole_texts, Classifier(("a", "b", "c")), "has 2 classes, and 3 labels are named"),
        (lambda folder: of_whole_texts(folder, rows=((0.0,), (1.0,), (2.0,))), LABELS, "one number for each text"),
        (lambda folder: of_tokens(folder, NAMED, tokenizer=False), LABELS, "there is no .*tokenizer.json"),
        (_no_tokenizer, LABELS, "tokenizer.json cannot be read"),
        (_of([("x", FLOATS, ["n", 2])], [("y", FLOATS, ["n", 2])]), LABELS, "it takes x: tensor"),
        (_of([("x", TEXTS, ["n"])], [("y", TEXTS, ["n"])]), LABELS, "none of its outputs has a number for each class"),
    ],
)
def test_what_is_no_text_classifier_says_why(tmp_path, made, classifier, words):
    with pytest.raises(UserCodeError, match=words):
        OnnxClassifier(made(tmp_path), classifier)


def test_what_is_missing_is_named_with_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "installed", lambda: False)
    with pytest.raises(UserCodeError, match=r"needs the extra `onnx`. .*EXTRAS=onnx"):
        OnnxClassifier(of_whole_texts(tmp_path), LABELS)


@pytest.mark.parametrize("how", [{}, {"instances": 1, "warm_up": "good"}])
async def test_a_pipeline_scores_by_it_in_its_worker_and_in_processes(tmp_path, how):
    of_whole_texts(tmp_path / "models")
    catalog = Catalog(JournalledModels(ScriptedModel(), MemoryJournal()), tmp_path)
    scorer = {"type": "onnx", "model": "models/model.onnx", "labels": ["no", "yes"], "into": "good", **how}
    plan = plan_of({"type": "scorer", "field": "review", "scorer": scorer})
    batch = batch_of(plan, [{"review": "bad"}, {"review": "good"}])
    try:
        outcomes = await catalog.transform_of(plan).apply("run_1", batch.records, Context())
    finally:
        await catalog.close()
    assert [each.output["good"] for each in outcomes] == ["no", "yes"]


async def test_it_may_be_the_cheap_tier_of_a_cascade(tmp_path):
    of_whole_texts(tmp_path)
    cheap = {"scorer": "model.onnx", "field": "review", "labels": ["no", "yes"], "into": "good"}
    plan = plan_of(
        {
            "type": "ai",
            "model": "m",
            "prompt": "{{ input.review }}",
            "output": {"good": "string"},
            "cascade": {"cheap": cheap},
        }
    )
    catalog = Catalog(JournalledModels(ScriptedModel(), MemoryJournal()), tmp_path)
    (answer,) = await catalog.cheap_tier(plan).answers("run_1", batch_of(plan, [{"review": "good"}]).records, Context())
    assert answer.outcome.output == {"good": "yes"}
    assert answer.confidence == pytest.approx(0.880797)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"scorer": "vader", "into": "mood"}, "no `into` with a scorer that is no ONNX file"),
        ({"scorer": "own:X", "labels": ["a", "b"]}, "no `labels` with a scorer that is no ONNX file"),
        ({"scorer": "m.onnx", "labels": ["a", "a"]}, "each class once"),
        ({"scorer": "m.onnx", "into": "confidence"}, "holds how sure it is"),
        ({"scorer": {"type": "onx", "model": "m.onnx"}}, "`type: onnx`, or no type"),
    ],
)
def test_keys_that_do_not_fit_are_mistakes(keys, words):
    with pytest.raises(ValidationError, match=words):
        ScorerTransformConfig.model_validate({"type": "scorer", "field": "text", **keys})
    if isinstance(keys["scorer"], str):
        with pytest.raises(ValidationError, match=words):
            CheapTier.model_validate({"field": "text", **keys})


def test_the_model_of_the_example_is_right_more_often_than_the_lexicon_on_reviews_it_has_not_seen():
    example = Path(__file__).parents[3] / "examples/customer_sentiment"
    files = [(example / "data" / name).read_text(encoding="utf-8") for name in ("reviews.csv", "held_out.csv")]
    everything, labels = (list(csv.DictReader(text.splitlines())) for text in files)
    reviews = {row["id"]: row for row in everything}
    held_out = [reviews[row["id"]] for row in labels]
    model, lexicon = OnnxClassifier(example / "models/sentiment/model.onnx", Classifier()), vader()
    said = [each["label"] for each in model.score([row["review"] for row in held_out])]
    right = sum(label == row["expected"] for label, row in zip(said, held_out, strict=True))
    of_lexicon = sum(lexicon(row["review"])["sentiment"] == row["expected"] for row in held_out)
    assert len(held_out) == 1495
    assert (right / 1495, of_lexicon / 1495) == (pytest.approx(0.681, abs=0.005), pytest.approx(0.612, abs=0.005))
