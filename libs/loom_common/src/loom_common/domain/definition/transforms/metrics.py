"""Defines the transform of type `metrics`: formulas of the pipeline's ontology are computed for each record."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.section import Mistake, mistake, said


class MetricsTransformConfig(TransformConfig):
    """Metrics of the pipeline's `ontology` are computed for each record: a field for each, null where the record lacks
    a concept of its formula."""

    type: Literal["metrics"]
    metrics: list[str] = Field(min_length=1, description="The names of the metrics: `[gross_margin]`.")

    @cached_property
    def declared_schema(self) -> Mapping[str, Any] | None:
        fields = {name: {"type": ["number", "null"]} for name in self.metrics}
        return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """The output is what the metrics are."""
        yield from TransformConfig.mistakes(written)
        for key in ("output", "calibration"):
            if said(written, key) is not None:
                expected = f"no `{key}` in a transform of type metrics: its output are the metrics that it names"
                yield mistake((key,), "strange_for_type", expected, said(written, key))
