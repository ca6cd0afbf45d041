"""Computes how probable an answer, or the value of one of its fields, was to the model, by the probabilities of its
tokens. It does no I/O."""

from __future__ import annotations

import json
import math

from loom_ai.ports import ModelAnswer


def confidence_in(answer: ModelAnswer, of: str | None = None) -> float | None:
    """Return how probable the value of the top-level field `of` of a JSON answer was: the product of the probabilities
    of its tokens. Without a field, return the geometric mean of the probabilities of all tokens, which does not depend
    on the answer's length. None where the endpoint gave no probabilities, or the answer has no such field."""
    if not answer.logprobs:
        return None
    if of is None:
        return math.exp(sum(value for _, value in answer.logprobs) / len(answer.logprobs))
    span = _span_of(answer.text, of)
    if span is None:
        return None
    start, end = (len(answer.text[:place].encode("utf-8", "surrogatepass")) for place in span)
    at, total = 0, 0.0
    for size, value in answer.logprobs:
        if at < end and at + size > start:
            total += value
        at += size
    return math.exp(total)


def _span_of(text: str, field: str) -> tuple[int, int] | None:
    """Return where the value of a field of the first JSON object in a text begins and ends, in characters."""
    decoder = json.JSONDecoder()
    begin = text.find("{")
    while begin >= 0:
        try:
            at = _after_space(text, begin + 1)
            while text[at] != "}":
                name, at = decoder.raw_decode(text, at)
                start = _after_space(text, _after_space(text, at) + 1)
                _, end = decoder.raw_decode(text, start)
                if name == field:
                    return start, end
                at = _after_space(text, end)
                at = _after_space(text, at + 1) if text[at] == "," else at
        except (ValueError, IndexError, RecursionError):
            pass
        begin = text.find("{", begin + 1)
    return None


def _after_space(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at
