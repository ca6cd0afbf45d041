"""Reads what a form of a page asks for: a field that was left empty asks for nothing."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from pydantic import BeforeValidator, Field

from loom_common.domain.run.statuses import ShownStatus
from loom_common.flow import Stage


def _blank_is_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


Blank = BeforeValidator(_blank_is_none)
Words = Annotated[Annotated[str, Field(max_length=500)] | None, Blank, Query()]
Status = Annotated[ShownStatus | None, Blank, Query()]
OfStage = Annotated[Stage | None, Blank, Query()]
OnlyWaiting = Annotated[bool, Query()]
Share = Annotated[Annotated[float, Field(ge=0, le=1)] | None, Blank, Query()]
