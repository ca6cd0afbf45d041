"""Classifies texts by a model in the ONNX format: a file that takes texts, as scikit-learn's models do when they are
converted with their vectorizer, or one that takes the ids of tokens, as models of `transformers` do.

A model of the second kind has its `tokenizer.json` beside it. Its `config.json`, with the names of the classes under
`id2label`, may lie beside a model of either kind. Both are what `optimum-cli export onnx` writes."""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loom_common import extras
from loom_common.domain.model_options.scorers import Classifier
from loom_common.errors import UserCodeError

_TOKENS = ("input_ids", "attention_mask", "token_type_ids")
_LONGEST = 512
"""The most tokens of a text where neither the tokenizer nor the configuration says it. What is longer is cut."""


def installed() -> bool:
    """Tell whether what runs such models is here. Imports nothing."""
    return all(importlib.util.find_spec(name) is not None for name in ("onnxruntime", "tokenizers"))


def remedy() -> str:
    """Say how it is installed where the transformers run."""
    return f"Install ONNX Runtime where the transformers run: {extras.remedy('onnx')}"


class OnnxClassifier:
    """Scores texts: the class of each, and the probability that the model gives to it.

    Both libraries compute without Python's lock, and may be called by several threads at once."""

    thread_safe = True

    def __init__(self, file: Path, classifier: Classifier) -> None:
        """Load the model. Raises `UserCodeError`, which says what is missing or cannot be read."""
        if not installed():
            raise UserCodeError(f"'{file.name}' needs the extra `onnx`. {remedy()}")
        import onnxruntime

        self._name = file.name
        self._into = classifier.into
        if not file.is_file():
            raise UserCodeError(f"There is no file {file}, which `transform.scorer` names.")
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS") or 0)  # 0: one for each processor
        options.log_severity_level = 4  # what is wrong is raised
        try:
            self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise UserCodeError(f"{file} cannot be loaded by ONNX Runtime: {_first_line(error)}") from error
        configuration = _configuration(file.parent / "config.json")
        self._inputs = {each.name: each for each in self._session.get_inputs()}
        self._tokenizer = None if self._takes_texts else _tokenizer(file, self._inputs, configuration)
        self._output = self._chosen_output()
        self._labels = classifier.labels or _labels_in(configuration)
        self._see_the_labels()

    def score(self, texts: list[str]) -> list[dict[str, Any]]:
        """Return the class of each text, and how sure the model is of it."""
        (found,) = self._session.run([self._output.name], self._fed(texts))
        return [self._said(each) for each in found]

    @property
    def _takes_texts(self) -> bool:
        return [each.type for each in self._inputs.values()] == ["tensor(string)"]

    def _fed(self, texts: list[str]) -> dict[str, Any]:
        import numpy as np

        if self._tokenizer is None:
            (taken,) = self._inputs.values()
            array = np.array(texts, dtype=object)
            return {taken.name: array[:, None] if len(taken.shape or ()) == 2 else array}
        encoded = self._tokenizer.encode_batch(texts)
        columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
        return {
            name: np.array(
                [getattr(each, columns[name]) for each in encoded],
                dtype=np.int32 if taken.type == "tensor(int32)" else np.int64,
            )
            for name, taken in self._inputs.items()
        }

    def _said(self, row: Any) -> dict[str, Any]:
        if isinstance(row, Mapping):  # of a model that names its classes itself
            label, probability = max(row.items(), key=lambda each: each[1])
            if not isinstance(label, str):
                label = self._label(int(label))
            return {self._into: label, "confidence": _share(probability)}
        scores = _probabilities([float(each) for each in row])
        best = max(range(len(scores)), key=scores.__getitem__)
        return {self._into: self._label(best), "confidence": _share(scores[best])}

    def _label(self, number: int) -> str:
        if self._labels is None or number >= len(self._labels):
            return str(number)
        return self._labels[number]

    def _chosen_output(self) -> Any:
        """Return the output that has a number for each class. Raises `UserCodeError`."""
        outputs = self._session.get_outputs()
        for each in outputs:
            if each.type.startswith("seq(map(") or (each.type.startswith("tensor(float") and len(each.shape) == 2):
                return each
        found = ", ".join(f"{each.name}: {each.type} {each.shape}" for each in outputs)
        raise UserCodeError(
            f"'{self._name}' is no text classifier: none of its outputs has a number for each class ({found})."
        )

    def _see_the_labels(self) -> None:
        """Compare the classes with the outputs, where the file says how many there are. Raises `UserCodeError`."""
        if self._output.type.startswith("seq(map(string"):
            return
        count = None if self._output.type.startswith("seq(") else self._output.shape[1]
        if count == 1:
            raise UserCodeError(f"'{self._name}' has one number for each text; a classifier has one for each class.")
        if self._labels is None:
            raise UserCodeError(
                f"'{self._name}' does not say what its classes are called. Name them in the order of its outputs: "
                '`labels: [negative, positive]`, or in `config.json` beside it: {"id2label": {"0": "negative", ...}}.'
            )
        if isinstance(count, int) and count != len(self._labels):
            raise UserCodeError(f"'{self._name}' has {count} classes, and {len(self._labels)} labels are named.")


def _tokenizer(file: Path, inputs: Mapping[str, Any], configuration: Mapping[str, Any]) -> Any:
    """Load the tokenizer that lies beside a model. Raises `UserCodeError`."""
    if "input_ids" not in inputs or inputs.keys() - set(_TOKENS):
        found = ", ".join(f"{each.name}: {each.type}" for each in inputs.values())
        raise UserCodeError(
            f"'{file.name}' is no text classifier that Loom can feed: it takes {found}; expected one input of texts "
            f"(tensor(string)), or {', '.join(_TOKENS)}."
        )
    beside = file.parent / "tokenizer.json"
    if not beside.is_file():
        raise UserCodeError(f"'{file.name}' takes tokens, and there is no {beside} that makes them of texts.")
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(beside))
    except Exception as error:
        raise UserCodeError(f"{beside} cannot be read: {_first_line(error)}") from error
    longest = configuration.get("max_position_embeddings")
    if tokenizer.truncation is None:
        tokenizer.enable_truncation(longest if isinstance(longest, int) and 0 < longest < _LONGEST else _LONGEST)
    if (padding := tokenizer.padding) is None:
        known = configuration.get("pad_token_id")
        tokenizer.enable_padding(pad_id=known if isinstance(known, int) else 0)
    elif padding.get("length") is not None:  # to a fixed length: the longest text of a call suffices
        tokenizer.enable_padding(**{**padding, "length": None})
    return tokenizer


def _configuration(file: Path) -> Mapping[str, Any]:
    """Return what stands in the `config.json` beside a model. Raises `UserCodeError`."""
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserCodeError(f"{file} cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}


def _labels_in(configuration: Mapping[str, Any]) -> tuple[str, ...] | None:
    found = configuration.get("id2label")
    if not isinstance(found, dict) or set(found) != {str(number) for number in range(len(found))} or not found:
        return None
    return tuple(str(found[str(number)]) for number in range(len(found)))


def _probabilities(row: Sequence[float]) -> Sequence[float]:
    """Return the numbers of a text as probabilities: as they are where they are some, else by the softmax."""
    if all(each >= 0 for each in row) and abs(sum(row) - 1) < 1e-3:
        return row
    most = max(row)
    parts = [math.exp(each - most) for each in row]
    return [each / sum(parts) for each in parts]


def _share(probability: float) -> float:
    return min(1.0, max(0.0, round(float(probability), 6)))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
