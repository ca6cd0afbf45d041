"""Holds the functions of pipeline-steps.yaml and pipeline-groups.yaml. Each sees the fields of the review, or of those
of a group, and those of the steps that it needs."""

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


def summary(record: dict[str, Any]) -> dict[str, Any]:
    """Say in a sentence what the reviews of a sentiment came to."""
    return {"summary": f"{record['reviews']} reviews are {record['sentiment']}, of {record['words']:.0f} words each."}
