"""Finds the JSON object in the text of an answer. It does no I/O.

Small models write their reasoning, code fences and explanations around the object. Where the text holds exactly one
object, that is the answer, and a repair call would only cost money. Where it holds several, or a broken one, it cannot
be decided which is meant."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from loom_common.domain.json_values.exact_json import loads

_THOUGHT = re.compile(r"\s*<(think|thinking|thought|reasoning|reflection)>", re.IGNORECASE)
_FINAL = re.compile(r"<\|channel\|>\s*final\b[^<]*<\|message\|>")
_CHANNEL = "<|channel|>"
_STRIPPED = re.compile(r"\Aanalysis.*?assistantfinal", re.DOTALL)
"""Matches the reasoning of the harmony format where a server has removed the channel markers."""
_BEGINS_JSON = re.compile(r"""\{\s*(?:["']|\w+\s*:)|\[\s*[\[{"]""")
_CLOSED = "</think>"
_BRACKET = re.compile(r"[\[{]")
_MOST_STARTS = 200
_decoder = json.JSONDecoder()


def value_in(text: str, *, strict: bool = False) -> Any:
    """Return the JSON value that the text is, or, unless `strict`, the one object that it contains.

    Raises `UnfitJson` for a value that cannot be stored exactly as written, and `json.JSONDecodeError` where there is
    none."""
    try:
        return loads(text)
    except json.JSONDecodeError:
        if strict or (found := _one_object(without_thoughts(text))) is None:
            raise
    return loads(found)


def without_thoughts(text: str) -> str:
    """Remove the reasoning in front of the text: think tags, and the channels of the harmony format.

    The result is empty where the text holds nothing but reasoning."""
    if channels := [*_positions_outside_values(text, _CHANNEL)]:
        final = [found for place in channels if (found := _FINAL.match(text, place)) is not None]
        if final:
            message = text[final[-1].end() :]
            return message[: next(_positions_outside_values(message, "<|"), len(message))]
        return (
            "" if text.lstrip().startswith(("<|channel|>analysis", "<|start|>assistant<|channel|>analysis")) else text
        )
    said = text
    while (thought := _THOUGHT.match(said)) is not None:
        _, closed, said = said.partition(f"</{thought[1]}>")
        if not closed:
            return ""
    return said if said is text else said.lstrip()


def _one_object(text: str) -> str | None:
    """Return the one object in a text, as it is written; None where there is none, more than one, or a broken one."""
    closed = [*_positions_outside_values(text, _CLOSED)]  # some servers open the block themselves
    text = text[closed[-1] + len(_CLOSED) :] if closed else _STRIPPED.sub("", text)
    found: str | None = None
    at = 0
    for _ in range(_MOST_STARTS):
        starts = [place for place in (text.find("{", at), text.find("[", at)) if place >= 0]
        if not starts:
            return found
        at = min(starts)
        try:
            value, end = _decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            if _BEGINS_JSON.match(text, at):
                return None
            at += 1
            continue
        if isinstance(value, dict):
            if found is not None:
                return None
            found = text[at:end]
        elif any(isinstance(each, dict | list) for each in value):
            return None
        at = end
    return None


def _positions_outside_values(text: str, marker: str) -> Iterator[int]:
    """Yield the positions of `marker` outside of the text's JSON values; inside of them it is data."""
    at, tried, found = 0, 0, text.find(marker)
    while found >= 0:
        start = _BRACKET.search(text, at, found)
        if start is None or tried == _MOST_STARTS:
            yield found
            at = found + len(marker)
        else:
            tried += 1
            try:
                at = _decoder.raw_decode(text, start.start())[1]
            except (ValueError, RecursionError):
                at = start.end()
        found = text.find(marker, at)
