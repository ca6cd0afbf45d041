"""Defines the criteria of judges: plain text, or a list of texts."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError


def _plain(value: str) -> str:
    """Check that judges' criteria hold no placeholders, because they are not rendered as a template."""
    if inside := re.search(r"\{\{.*?\}\}|\{%.*?%\}", value):
        raise PydanticCustomError(
            "no_template",
            "plain text: criteria are no template, and {found} would stay as it is. Name an input field that the judge "
            "is to see in `reference_field`, `source_field` or their like",
            {"found": inside[0]},
        )
    return value


def _without_placeholders(value: str) -> str:
    """Check the criteria of a judge that sees the whole question."""
    if inside := re.search(r"\{\{.*?\}\}|\{%.*?%\}", value):
        raise PydanticCustomError(
            "no_template",
            "plain text: this is no template, and {found} would stay as it is. The judge sees the record's question "
            "and its answer",
            {"found": inside[0]},
        )
    return value


_Text = Annotated[str, Field(min_length=1), AfterValidator(_plain)]
Criteria = _Text | Annotated[list[_Text], Field(min_length=1)]
"""The criteria of an evaluator, as text or as a list of texts."""
Instructions = Annotated[str, Field(min_length=1), AfterValidator(_without_placeholders)]
"""Holds what a judge is told to look at in an answer that is not chosen yet."""
