"""Defines the transform of type `passthrough`: the output is the input."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.section import Mistake, mistake, said


class PassthroughTransformConfig(TransformConfig):
    """The output is the input as it is."""

    type: Literal["passthrough"]

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """There is no stated confidence to calibrate, besides what holds for every transform."""
        yield from TransformConfig.mistakes(written)
        if said(written, "calibration") is not None:
            expected = "no `calibration` in a transform of type passthrough: it makes no output"
            yield mistake(("calibration",), "strange_for_type", expected, said(written, "calibration"))
