"""Offers the sections of a pipeline to Python code: those of its file, with Loom's errors."""

from loom.sdk.own_errors import OwnErrors
from loom_common.domain.definition import evaluation, extract, load
from loom_common.domain.definition.transforms import ai, own_code, passthrough, scorer


class ExtractConfig(OwnErrors, extract.ExtractConfig):
    """Says where records come from. Raises `InvalidDefinition` with every mistake."""


class AiTransformConfig(OwnErrors, ai.AiTransformConfig):
    """Asks a model about each record. Raises `InvalidDefinition` with every mistake."""


class PassthroughTransformConfig(OwnErrors, passthrough.PassthroughTransformConfig):
    """Passes each record on as it is. Raises `InvalidDefinition` with every mistake."""


class PythonTransformConfig(OwnErrors, own_code.PythonTransformConfig):
    """Calls a function with each record. Raises `InvalidDefinition` with every mistake."""


class ScorerTransformConfig(OwnErrors, scorer.ScorerTransformConfig):
    """Scores a text of each record. Raises `InvalidDefinition` with every mistake."""


class EvaluateConfig(OwnErrors, evaluation.EvaluateConfig):
    """Says how outputs are scored. Raises `InvalidDefinition` with every mistake."""


class LoadConfig(OwnErrors, load.LoadConfig):
    """Says where records that passed are loaded. Raises `InvalidDefinition` with every mistake."""
