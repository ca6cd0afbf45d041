"""Holds the functions that moderate comments by words, and that say how sure this is."""

from __future__ import annotations

from typing import Any

INSULTS = ("idiot", "moron", "scum")
SELLS = ("buy now", "discount code", "http://", "https://")
UNSURE = ("stupid", "street", "trash", "call", "shop", "cheap", "lives")
"""Words that are harmless in one comment and not in another."""


def moderate(record: dict[str, Any]) -> dict[str, Any]:
    """Return what the words of a comment say."""
    text = record["comment"].lower()
    if any(each in text for each in INSULTS):
        return {"verdict": "hide", "rule": "insult"}
    if any(each in text for each in SELLS):
        return {"verdict": "hide", "rule": "advertising"}
    return {"verdict": "allow", "rule": "none"}


def sure(output: dict[str, Any], record: dict[str, Any]) -> float:
    """Return how sure the word list is: it knows what it hides, and is unsure where a word has two sides."""
    if output["verdict"] == "hide":
        return 0.95
    return 0.5 if any(each in record["comment"].lower() for each in UNSURE) else 0.92


def names_the_rule(output: dict[str, Any], record: dict[str, Any]) -> tuple[float, str]:
    """Score 1 where a hidden comment has a rule, and an allowed one has none."""
    fits = (output["verdict"] == "hide") == (output["rule"] != "none")
    return (1.0, "verdict and rule fit") if fits else (0.0, f"{output['verdict']} by the rule {output['rule']}")
