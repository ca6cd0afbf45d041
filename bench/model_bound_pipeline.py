"""Defines the job that most pipelines do: ask a model about each record, judge the answer, load it."""

from __future__ import annotations

from typing import Any

AT_ONCE = 100
LATENCY = 0.2
"""Seconds that the simulated model takes for an answer."""
COLUMNS = "id TEXT, sentiment TEXT, confidence DOUBLE PRECISION"
"""Defines the destination's columns, where the destination has a table before the run."""
PROMPT = "Classify the sentiment of this review as good or bad: {{ input.review }}"


def definition(source: str, destination: str, base_url: str, at_once: int = AT_ONCE) -> dict[str, Any]:
    """Return the definition as a pipeline file would say it, with `at_once` calls in flight of each transformer."""
    return {
        "name": "model_bound",
        "version": "1.0.0",
        "extract": {"source": source, "key": "id"},
        "transform": {
            "type": "ai",
            "model": "gpt-4o-mini",
            "prompt": PROMPT,
            "output": {
                "sentiment": {"enum": ["good", "bad"]},
                "confidence": {"type": "number", "minimum": 0, "maximum": 1},
            },
        },
        "providers": {"openai": {"base_url": base_url, "concurrency": at_once}},
        "evaluate": {
            "evaluators": [
                {"name": "sure", "type": "range", "field": "confidence", "min": 0, "max": 1, "threshold": 0.5}
            ],
            "quality_gate": "all_pass",
        },
        "load": {"destination": destination, "mode": "append"},
    }
