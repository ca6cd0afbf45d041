"""Implements the scorer `exclamations`."""

from __future__ import annotations

LOOM_PLUGIN_API = 1


def exclamations(text: str) -> dict[str, int]:
    """Count how often a text exclaims."""
    return {"exclamations": text.count("!")}
