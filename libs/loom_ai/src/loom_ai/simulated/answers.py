"""Makes up answers that fit a schema. Equal questions get equal answers. It does no I/O."""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Mapping
from typing import Any

_WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath")


def answer_for(schema: Mapping[str, Any] | None, question: str) -> Any:
    """Return a value that fits `schema` (a JSON Schema), or a sentence where there is none."""
    seed = int.from_bytes(hashlib.sha256(question.encode()).digest()[:8])
    if not schema:
        return f"An answer to {seed % 10_000}."
    return _fitting(schema, random.Random(seed), schema.get("$defs", {}))  # noqa: S311 - no secret is made of it


def vector_for(text: str, length: int) -> list[float]:
    """Return a vector that depends on the words of a text, so that texts that share words are near each other."""
    vector = [0.0] * length
    for word in text.casefold().split() or [""]:
        chance = random.Random(int.from_bytes(hashlib.sha256(word.encode()).digest()[:8]))  # noqa: S311 - no secret
        vector = [number + chance.uniform(-1, 1) for number in vector]
    return [round(number, 6) for number in vector]


def made_up_logprobs(text: str, question: str) -> tuple[tuple[str, float], ...]:
    """Return the tokens of an answer with made-up logarithms of their probabilities. Those of JSON's marks are 0, as a
    model that is held to a schema has no choice there."""
    made = []
    for token in re.findall(r"\w+|\W+", text):
        chance = random.Random(f"{question} {token}")  # noqa: S311 - no secret is made of it
        made.append((token, round(math.log(chance.uniform(0.3, 1.0)), 6) if token[0].isalnum() else 0.0))
    return tuple(made)


def tokens_of(text: str) -> int:
    """Estimate the tokens of a text as a tokenizer would count them."""
    return len(text) // 4 + 1


def _fitting(schema: Mapping[str, Any], chance: random.Random, definitions: Mapping[str, Any]) -> Any:
    match schema:
        case {"$ref": reference}:
            return _fitting(definitions[reference.rpartition("/")[2]], chance, definitions)
        case {"const": value}:
            return value
        case {"enum": values}:
            return chance.choice(values)
        case {"anyOf": [first, *_]} | {"oneOf": [first, *_]}:
            return _fitting(first, chance, definitions)
    kind = schema.get("type", "string")
    match (kind[0] if isinstance(kind, list) else kind).lower():
        case "object":
            fields = schema.get("properties", {})
            return {name: _fitting(each, chance, definitions) for name, each in fields.items()}
        case "array":
            count = max(schema.get("minItems", 1), 1)
            return [_fitting(schema.get("items", {}), chance, definitions) for _ in range(count)]
        case kind:
            return _plain(kind, schema, chance)


def _plain(kind: str, schema: Mapping[str, Any], chance: random.Random) -> Any:
    match kind:
        case "number":
            return round(chance.uniform(schema.get("minimum", 0), schema.get("maximum", 1)), 3)
        case "integer":
            return chance.randint(schema.get("minimum", 0), schema.get("maximum", 100))
        case "boolean":
            return chance.random() < 0.5
        case "null":
            return None
        case _:
            return " ".join(chance.choices(_WORDS, k=3))
