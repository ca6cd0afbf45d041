"""Implements the registered steps `length` and `shouting`: the second depends on what the first makes."""

from __future__ import annotations

from typing import Any, ClassVar

from loom import pipeline_step

LOOM_PLUGIN_API = 1


@pipeline_step(name="length", inputs=["review"], outputs={"letters": "integer"}, phase="profiling")
def length(record: dict[str, Any]) -> dict[str, int]:
    """Count the letters of a review."""
    return {"letters": sum(each.isalpha() for each in record["review"])}


@pipeline_step
class Shouting:
    """Say which reviews shout: where more than half of the letters are capitals."""

    name = "shouting"
    inputs = ("review",)
    outputs: ClassVar[dict[str, str]] = {"shouting": "boolean"}
    phase = "enrichment"
    dependencies = ("length",)

    def execute(self, record: dict[str, Any]) -> dict[str, bool]:
        """Compare the capitals of a review with the letters that the step before it has counted."""
        return {"shouting": sum(each.isupper() for each in record["review"]) * 2 > record["letters"]}
