"""Defines the kinds of things that can be added to Loom."""

from __future__ import annotations

from enum import StrEnum

PLUGIN_API = 1
"""The version of the interfaces that plugins are written against. It rises when one changes incompatibly."""
API_VARIABLE = "LOOM_PLUGIN_API"
"""The variable in a plugin's module that says which version it was written against."""


class Kind(StrEnum):
    """Each kind has its own names, and its own entry point group."""

    SOURCE = "source"
    DESTINATION = "destination"
    FORMAT = "format"
    STORAGE = "storage"
    TRANSFORM = "transform"
    EVALUATOR = "evaluator"
    GATE = "gate"
    SCORER = "scorer"
    PROVIDER = "provider"
    CREDENTIAL = "credential"
    CHECK = "check"
    STEP = "step"
    ONTOLOGY = "ontology"
    ENGINE = "engine"

    @property
    def group(self) -> str:
        """Return the entry point group in which packages offer plugins of this kind, such as `loom.evaluators`."""
        return "loom.ontologies" if self is Kind.ONTOLOGY else f"loom.{self}s"
