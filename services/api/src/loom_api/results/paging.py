"""Defines the result of a route that answers a list part by part."""

from typing import Generic, TypeVar

from pydantic import BaseModel, Field

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """Holds a part of a list."""

    items: list[Item]
    next: str | None = Field(description="The value of `after` for the next page; null on the last page.")
