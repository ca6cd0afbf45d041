"""Compiles the declared schema of an output once, which answers are validated against."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any

from loom_common.domain.json_values.whole_numbers import whole_numbers
from loom_common.domain.schema.output import json_schema
from loom_common.errors import RecordError


class Shape:
    """Holds a JSON Schema and its validator."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        """`spec` is the short form of the pipeline file or a JSON Schema. Raises `ValueError` where it is neither."""
        from loom_common.domain.json_values.schema_check import SchemaCheck  # many pipelines declare no shape

        self.schema = json_schema(spec)
        self._whole = whole_numbers(self.schema)
        self._check = SchemaCheck(self.schema)

    def misfit(self, value: Any) -> str | None:
        """Return what is wrong with `value`, naming the field; None where it is valid.

        Raises `RecordError` where the check takes longer than its time limit."""
        misfits = self._check.misfits(value)
        if (first := next(misfits, None)) is None:
            return None
        from jsonschema.exceptions import best_match

        error = best_match(chain((first,), misfits))
        if error is None:
            return None
        field = error.json_path.removeprefix("$").removeprefix(".")
        return f"{field}: {error.message}" if field else error.message

    def exact(self, value: Any) -> Any:
        """Return a valid value with integers where the schema declares them: JSON Schema counts `1.0` as one."""
        return value if self._whole is None else self._whole(value)

    def check(self, output: Mapping[str, Any]) -> None:
        """Check an output. Raises `RecordError` (code `invalid_output`) where it is not valid."""
        if (misfit := self.misfit(output)) is not None:
            more = ". Declare them in `output`, too, or leave `output` out" if "Additional properties" in misfit else ""
            raise RecordError(
                f"The output does not fit its declared shape ({misfit}){more}",
                code="invalid_output",
                details={"output": dict(output), "misfit": misfit},
            )
