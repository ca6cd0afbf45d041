"""Defines the result of a request that is refused: an error, and each mistake with its place."""

from pydantic import BaseModel, Field


class Mistake(BaseModel):
    """Describes one mistake of a request or a definition, and where it is."""

    message: str = Field(description="All of it, in a sentence.")
    file: str | None = Field(None, description="The file it stands in; null for the request itself.")
    line: int | None = Field(None, description="Counted from 1, as is the column.")
    column: int | None = None
    key: str = Field("", description="The dotted path: `evaluate.evaluators[0].threshold`.")
    found: str | None = None
    expected: str | None = None
    suggestion: str | None = Field(None, description="What was meant, it may be.")


class Problem(BaseModel):
    """Describes an error as RFC 9457 does."""

    type: str = Field(description="`about:blank`: the status says what kind of error it is.")
    title: str
    status: int
    detail: str = Field(description="What happened and what to do, in a sentence.")
    errors: list[Mistake] = Field([], description="Every mistake, where there are several or it has a place.")
