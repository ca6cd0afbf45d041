"""What every part of the pipeline file has in common: strict keys, and values that keep their secrets out."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from loom_common.domain.urls import clear_text_password

_FUNCTION = re.compile(r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


def _location(value: str) -> str:
    if clear_text_password(value):
        raise PydanticCustomError(
            "clear_text_password",
            "a credential reference instead of a password in clear: ${NAME}, resolved where it is needed",
        )
    return value


def _function(value: str) -> str:
    if not _FUNCTION.match(value):
        raise PydanticCustomError("function_reference", "a function written module:name")
    return value


def _secret_reference(value: str) -> str:
    if not re.fullmatch(r"\$\{[^}]+\}", value):
        raise PydanticCustomError("clear_text_secret", "a credential reference: ${NAME} or ${provider:name}")
    return value


Location = Annotated[str, Field(min_length=1), AfterValidator(_location)]
"""A path or URL. Credentials in it stay references: `${NAME}`."""
FunctionRef = Annotated[str, AfterValidator(_function)]
SecretRef = Annotated[str, AfterValidator(_secret_reference)]


class Section(BaseModel):
    """A part of the pipeline file. Unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
