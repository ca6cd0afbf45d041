"""Implements OpenAI's embeddings API, which many other endpoints offer too: one request holds many texts, and the
response one vector for each.

The text of an answer is a JSON list of the vectors, each as the base64 of its numbers in 32 bits, little-endian: a
quarter of what they take as decimals, and exactly what models compute."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Sequence
from typing import Any

import orjson

from loom_ai.ports import ModelAnswer, ModelCall
from loom_ai.wire import document as documents
from loom_ai.wire import finish, openai
from loom_ai.wire.document import NoAnswer, kind_of, name_of, object_of
from loom_ai.wire.form import ALL_ACCEPTED, AcceptedParameters, Form, encoded_request
from loom_ai.wire.usage import ReportedUsage, checked_usage

parsed = documents.parsed
headers = openai.headers
limits = openai.limits


def forms(_call: ModelCall) -> tuple[Form, ...]:
    return (Form.PLAIN,)


def url(base_url: str, _model: str) -> str:
    return f"{base_url}/embeddings"


def request_body(call: ModelCall, _form: Form, _accepted: AcceptedParameters = ALL_ACCEPTED) -> bytes:
    texts = [message.content for message in call.messages]
    body: dict[str, Any] = {"model": call.model, "input": texts, "encoding_format": "float"}
    if call.dimensions is not None:
        body["dimensions"] = call.dimensions
    return encoded_request(body, call, body)


def answer_of(document: Any, call: ModelCall, latency: float) -> ModelAnswer:
    document = object_of(document, "the response")
    rows = document.get("data")
    if not isinstance(rows, list):
        raise NoAnswer(f"`data` is {kind_of(rows)}, not a list")
    if len(rows) != len(call.messages):
        raise NoAnswer(f"it holds {len(rows)} vectors for {len(call.messages)} texts")
    placed = sorted((object_of(row, "an entry of `data`") for row in rows), key=lambda row: _index(row, len(rows)))
    usage = checked_usage(call, "", counted(document))
    return ModelAnswer(
        text=vectors_text([_vector(row.get("embedding")) for row in placed]),
        finish_reason=finish.WHOLE,
        model=name_of(document.get("model"), call.model),
        tokens_in=usage.given,
        tokens_cached=0,
        tokens_out=0,
        latency=latency,
        estimated=usage.estimated,
    )


def counted(document: Any) -> ReportedUsage:
    usage = documents.object_in(document, "usage")
    return ReportedUsage(given=None if usage is None else usage.get("prompt_tokens"), answered=0)


def vectors_text(vectors: Sequence[Sequence[float]]) -> str:
    """Return vectors as the text of an answer. Raises `NoAnswer` for a number beyond 32 bits."""
    try:
        packed = [struct.pack(f"<{len(vector)}f", *vector) for vector in vectors]
    except OverflowError as error:
        raise NoAnswer("a vector holds a number that is too large") from error
    return orjson.dumps([base64.b64encode(each).decode() for each in packed]).decode()


def vector_in(text: str, at: int) -> list[float]:
    """Return the vector at a place of an answer's text, each number with the digits that tell it from its neighbours.
    Raises `LookupError` or `ValueError` where there is none."""
    packed = base64.b64decode(orjson.loads(text)[at])
    return [float(f"{number:.9g}") for number in struct.unpack(f"<{len(packed) // 4}f", packed)]


def single(number: float) -> float:
    """Return the number of 32 bits that is next to a number, with the digits that tell it from its neighbours."""
    return float(f"{struct.unpack('<f', struct.pack('<f', number))[0]:.9g}")


def _index(row: Any, count: int) -> int:
    index = row.get("index", 0)
    if not isinstance(index, int) or not 0 <= index < count:
        raise NoAnswer("an entry of `data` has no valid `index`")
    return index


def _vector(found: Any) -> list[float]:
    if not isinstance(found, list) or not found:
        raise NoAnswer(f"an `embedding` is {kind_of(found)}, not a list of numbers")
    if not all(type(number) in (int, float) and math.isfinite(number) for number in found):
        raise NoAnswer("an `embedding` holds what is no finite number")
    return found
