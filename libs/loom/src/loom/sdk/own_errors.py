"""Lets sections of a pipeline that are built in Python take functions, classes and objects where its file has names,
and raise Loom's errors, in the words of those for its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from loom.sdk.callables import with_names
from loom_common.domain.definition.reader import invalid

if TYPE_CHECKING:
    _Model = BaseModel
else:
    _Model = object


class OwnErrors(_Model):
    """Stands before a section in the bases of a class."""

    def __init__(self, **written: Any) -> None:
        written = with_names(written)
        try:
            super().__init__(**written)
        except ValidationError as error:
            raise invalid(error, type(self), written) from None
