"""Defines the transform of type `scorer`: a local model looks at one field."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.model_options.scorers import ScorerOptions, scorer_fits, with_scorer_named
from loom_common.domain.section import Mistake


class ScorerTransformConfig(TransformConfig, ScorerOptions):
    """A local model looks at one field of the input."""

    type: Literal["scorer"]
    scorer: str = Field(
        description="`vader`, `module:name` of your own, the path of a text classifier in the ONNX format (`.onnx`), "
        "or a model server's URL; or `{name: ..., calibration: ...}`."
    )
    field: str = Field(description="The input field to score.")

    @classmethod
    def long_form(cls, written: Any) -> Any:
        """The settings of a scorer may stand beneath it."""
        return with_scorer_named(TransformConfig.long_form(written))

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Processes have a memory, and a server has a key, besides what holds for every transform."""
        yield from TransformConfig.mistakes(written)
        yield from scorer_fits(written)

    @property
    def made_by(self) -> str | None:
        return self.scorer
