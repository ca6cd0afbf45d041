"""Defines how a definition names a model that compares texts by their vectors."""

from typing import Any

from pydantic import Field

from loom_common.domain.section import SecretRef, Section, WebLocation


class EmbeddingConfig(Section):
    """Says which model compares texts by their vectors. The short form is the model."""

    model: str = Field(min_length=1, description="`provider:model`, e.g. `openai:text-embedding-3-small`.")
    base_url: WebLocation | None = Field(
        None, description="Where it is served. Default: as the model beside it, where it is of the same provider."
    )
    api_key: SecretRef | None = Field(
        None, description="A credential reference. Default: as the model beside it, where it is of the same provider."
    )
    dimensions: int | None = Field(None, ge=1, le=100_000, description="The length of the vectors that is asked for.")

    @classmethod
    def long_form(cls, written: Any) -> Any:
        return {"model": written} if isinstance(written, str) else written
