"""Trains the model of pipeline-onnx.yaml from labelled reviews, and writes it with the reviews that it has not seen.

It counts words and pairs of words (TF-IDF), and adds up what VADER's lexicon says of the words: a logistic regression
over both. Reviews are told apart by their products, so that sentences of one review are either all learned or all held
out. To run it again:

    pip install onnx==1.23.2 scikit-learn==1.9.1 vaderSentiment==3.3.2
    python examples/customer_sentiment/models/train.py
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

EXAMPLE = Path(__file__).parents[1]
WORD = r"[a-z']+|[!?]"
NEGATIONS = [
    "not",
    "no",
    "never",
    "nothing",
    "nor",
    "neither",
    "cannot",
    "without",
    "hardly",
    "can't",
    "couldn't",
    "didn't",
    "doesn't",
    "don't",
    "isn't",
    "wasn't",
    "won't",
    "wouldn't",
]
SHARE = 0.5
"""Scales the sums over the lexicon beside the counts of words."""


def main() -> None:
    """Train on three fifths of the reviews."""
    with (EXAMPLE / "data/reviews.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    learned = [row for row in rows if _fifth(row["id"]) < 3]
    held_out = [row for row in rows if _fifth(row["id"]) >= 3]
    texts, labels = [row["review"] for row in learned], [row["expected"] for row in learned]

    valences = {w: v for w, v in SentimentIntensityAnalyzer().lexicon.items() if re.fullmatch(WORD, w)}
    words = sorted({*valences, *NEGATIONS})
    sums = np.array([[max(valences.get(w, 0), 0), min(valences.get(w, 0), 0), w in NEGATIONS] for w in words])
    counted = CountVectorizer(vocabulary=words, token_pattern=WORD).transform(texts) @ (sums * SHARE)
    vectors = TfidfVectorizer(token_pattern=WORD, ngram_range=(1, 2), min_df=2)
    features = hstack([vectors.fit_transform(texts), csr_matrix(counted)])
    model = LogisticRegression(C=2, max_iter=1000).fit(features, labels)

    known = len(vectors.vocabulary_)
    weights, of_sums = model.coef_.T[:known], (sums * SHARE) @ model.coef_.T[known:]
    pairs = sorted(vectors.vocabulary_, key=lambda gram: (gram.count(" "), gram))
    order = [vectors.vocabulary_[gram] for gram in pairs]
    graph = _graph(pairs, vectors.idf_[order], weights[order], words, of_sums, model.intercept_)
    made = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)],
        ir_version=8,
        producer_name="customer_sentiment/models/train.py",
    )
    folder = EXAMPLE / "models/sentiment"
    onnx.save(made, folder / "model.onnx")
    named = {"id2label": {str(number): str(label) for number, label in enumerate(model.classes_)}}
    (folder / "config.json").write_text(json.dumps(named, indent=2) + "\n", encoding="utf-8")
    with (EXAMPLE / "data/held_out.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(held_out)


def _fifth(sentence: str) -> int:
    """Return in which fifth of the reviews a sentence is, by the review that it stands in."""
    return int(hashlib.sha256(sentence.split("_", maxsplit=1)[0].encode()).hexdigest(), 16) % 5


def _graph(pairs, idf, weights, words, of_sums, intercept):
    """Return the model as a graph: lower case, words, counts, and two linear layers whose sum is made probabilities."""

    def counts(name: str, grams: list[str], longest: int, **attributes) -> onnx.NodeProto:
        split = [gram.split(" ") for gram in grams]
        singles = sum(len(each) == 1 for each in split)
        return helper.make_node(
            "TfIdfVectorizer",
            ["words"],
            [name],
            min_gram_length=1,
            max_gram_length=longest,
            max_skip_count=0,
            ngram_counts=[0, singles][:longest],
            ngram_indexes=list(range(len(grams))),
            pool_strings=[word for each in split for word in each],
            **attributes,
        )

    nodes = [
        helper.make_node(
            "StringNormalizer", ["text"], ["lower"], case_change_action="LOWER", is_case_sensitive=1, locale="C"
        ),
        helper.make_node(
            "Tokenizer",
            ["lower"],
            ["words"],
            domain="com.microsoft",
            mark=0,
            mincharnum=1,
            pad_value="#",
            tokenexp=WORD,
        ),
        counts("weighed", pairs, 2, mode="TFIDF", weights=[float(each) for each in idf]),
        helper.make_node("LpNormalization", ["weighed"], ["unit"], axis=1, p=2),
        helper.make_node("MatMul", ["unit", "weights"], ["by_words"]),
        counts("known", words, 1, mode="TF"),
        helper.make_node("MatMul", ["known", "of_sums"], ["by_lexicon"]),
        helper.make_node("Sum", ["by_words", "by_lexicon", "intercept"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    numbers = {"weights": weights, "of_sums": of_sums, "intercept": intercept}
    return helper.make_graph(
        nodes,
        "sentiment",
        [helper.make_tensor_value_info("text", TensorProto.STRING, ["texts"])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["texts", len(intercept)])],
        [numpy_helper.from_array(each.astype(np.float32), name) for name, each in numbers.items()],
    )


if __name__ == "__main__":
    main()
