"""Copies frozen models of pydantic, of which each batch needs several."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


def replaced(model: M, /, **changes: Any) -> M:
    """Return a copy of a frozen model with other values of these fields, which are not checked.

    It is what `model_copy(update=...)` gives for a model that allows no further fields and has no private attributes,
    for half of the time: a frozen model may share with its copy what is not changed."""
    copy = type(model).__new__(type(model))
    _set(copy, "__dict__", {**model.__dict__, **changes})
    _set(copy, "__pydantic_fields_set__", model.model_fields_set | changes.keys())
    _set(copy, "__pydantic_extra__", None)
    _set(copy, "__pydantic_private__", None)
    return copy


_set = object.__setattr__
"""Sets what a frozen model refuses to have set."""
