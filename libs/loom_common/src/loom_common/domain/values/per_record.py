"""Makes the dataclasses of which each record, or each message, needs several instances: their construction is a cost of
every one of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

Class = TypeVar("Class")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def per_record(cls: type[Class]) -> type[Class]:
    """Make a dataclass with slots whose instances are not changed.

    The type checker refuses to assign to its fields, as it does for `frozen=True`. Nothing refuses it at run time,
    because an instance of a frozen dataclass takes three times as long to make."""
    return dataclass(slots=True)(cls)
