"""Implements the lexicon model `vader`: sentiment of short English texts, without a server or a key.

Hutto, C.J. & Gilbert, E.E. (2014): VADER, a parsimonious rule-based model for sentiment analysis of social media
text. Its authors' thresholds: positive from compound 0.05 up, negative from -0.05 down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

POSITIVE_FROM = 0.05
NEGATIVE_FROM = -0.05


def vader() -> Callable[[str], dict[str, Any]]:
    """Load a function of a text: `sentiment`, `confidence` (0 to 1) and `compound` (-1 to 1), which are `OF_VADER`."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()

    def score(text: str) -> dict[str, Any]:
        compound: float = analyzer.polarity_scores(text)["compound"]
        return {"sentiment": label(compound), "confidence": abs(compound), "compound": compound}

    return score


def label(compound: float) -> str:
    """Return the label of a compound score. Both thresholds are inclusive."""
    if compound >= POSITIVE_FROM:
        return "positive"
    return "negative" if compound <= NEGATIVE_FROM else "neutral"
