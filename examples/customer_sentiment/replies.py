"""Holds the functions of pipeline-steps.yaml. Each sees the fields of the review, and of the steps that it needs."""

from __future__ import annotations

from typing import Any


def apologise(record: dict[str, Any]) -> dict[str, Any]:
    """Open a letter to somebody who is unhappy."""
    return {"opening": "We are sorry to hear that" if record["confidence"] > 0.5 else "Thank you for being frank"}


def thank(record: dict[str, Any]) -> dict[str, Any]:
    """Open a letter to somebody who is not."""
    return {"opening": "Thank you" if record["sentiment"] == "positive" else "Thank you for your words"}


def measure(record: dict[str, Any]) -> dict[str, Any]:
    """Count the words of a review."""
    return {"words": len(record["review"].split())}


def letter(record: dict[str, Any]) -> dict[str, Any]:
    """Return the letter to whoever wrote the review, with the opening that its branch chose."""
    return {"letter": f"{record['opening']}. We have read all {record['words']} words of your review."}
