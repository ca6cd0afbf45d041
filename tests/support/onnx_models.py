"""Makes small text classifiers in the ONNX format."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper

WORDS = {"[PAD]": 0, "good": 1, "bad": 2, "is": 3, "it": 4}


def saved(folder: Path, nodes, inputs, outputs, weights=(), config=None) -> Path:
    """Write a model of these nodes, and what its `config.json` says."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    graph = helper.make_graph(nodes, "test", inputs, outputs, list(weights))
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "model.onnx")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder / "model.onnx"


def _floats(name: str, *shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _texts(*shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info("text", TensorProto.STRING, shape)


def _matrix(name: str, rows) -> onnx.TensorProto:
    import numpy as np

    return numpy_helper.from_array(np.array(rows, dtype=np.float32), name)


def of_whole_texts(folder: Path, rows=((0.0, 0.0), (0.0, 2.0), (2.0, 0.0)), config=None, rank=1, softmax=False) -> Path:
    """Know three texts: any other, `good` and `bad`, with the numbers of `rows`."""
    known = helper.make_node(
        "LabelEncoder",
        ["text"],
        ["row"],
        domain="ai.onnx.ml",
        keys_strings=["good", "bad"],
        values_int64s=[1, 2],
        default_int64=0,
    )
    last = ["scores"] if softmax else ["out"]
    nodes = [known]
    if rank == 2:
        nodes += [
            helper.make_node("Constant", [], ["axis"], value_ints=[1]),
            helper.make_node("Squeeze", ["row", "axis"], ["one"]),
        ]
    nodes.append(helper.make_node("Gather", ["rows", "row" if rank == 1 else "one"], last))
    if softmax:
        nodes.append(helper.make_node("Softmax", last, ["out"], axis=1))
    shape = ["n"] if rank == 1 else ["n", 1]
    return saved(folder, nodes, [_texts(*shape)], [_floats("out", "n", len(rows[0]))], [_matrix("rows", rows)], config)


def with_a_map(folder: Path, names, config=None) -> Path:
    """End as scikit-learn's classifiers do when they are converted: with a map of classes to probabilities."""
    known = helper.make_node(
        "LabelEncoder",
        ["text"],
        ["row"],
        domain="ai.onnx.ml",
        keys_strings=["good", "bad"],
        values_int64s=[1, 0],
        default_int64=0,
    )
    kind = "classlabels_strings" if isinstance(names[0], str) else "classlabels_int64s"
    nodes = [
        known,
        helper.make_node("Gather", ["rows", "row"], ["probabilities"]),
        helper.make_node("ZipMap", ["probabilities"], ["out"], domain="ai.onnx.ml", **{kind: list(names)}),
    ]
    key = TensorProto.STRING if isinstance(names[0], str) else TensorProto.INT64
    of_map = helper.make_map_type_proto(key, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    out = helper.make_value_info("out", helper.make_sequence_type_proto(of_map))
    return saved(folder, nodes, [_texts("n")], [out], [_matrix("rows", ((0.75, 0.25), (0.25, 0.75)))], config)


def of_tokens(folder: Path, config=None, tokenizer=True, kind=TensorProto.INT64) -> Path:
    """Take the ids of tokens, as models of `transformers` do: `good` and `bad` count, and padding does not."""
    nodes = [
        helper.make_node("Gather", ["rows", "input_ids"], ["each"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Constant", [], ["last"], value_ints=[2]),
        helper.make_node("Unsqueeze", ["mask", "last"], ["wide"]),
        helper.make_node("Mul", ["each", "wide"], ["counted"]),
        helper.make_node("ReduceSum", ["counted", "middle"], ["logits"], keepdims=0),
        helper.make_node("Constant", [], ["middle"], value_ints=[1]),
    ]
    nodes = [*nodes[:5], nodes[6], nodes[5]]
    rows = _matrix(
        "rows", ((9, -9), (-1, 1), (1, -1), (0, 0), (0, 0))
    )  # what stands for padding says much, if it counts
    inputs = [helper.make_tensor_value_info(name, kind, ["n", "length"]) for name in ("input_ids", "attention_mask")]
    made = saved(folder, nodes, inputs, [_floats("logits", "n", 2)], [rows], config)
    if tokenizer:
        from tokenizers import Tokenizer, models, pre_tokenizers

        words = Tokenizer(models.WordLevel(WORDS, unk_token="it"))
        words.pre_tokenizer = pre_tokenizers.Whitespace()
        words.save(str(folder / "tokenizer.json"))
    return made
