"""Defines the transform of type `embed`: a model turns a text into a vector."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.definition.transforms.transform import TransformConfig
from loom_common.domain.model_options.caching import CacheConfig
from loom_common.domain.model_options.call_options import CallOptions
from loom_common.domain.model_options.providers import RateLimit
from loom_common.domain.section import Mistake, SecretRef, WebLocation, mistake, said
from loom_common.domain.values.durations import Limit


class EmbedTransformConfig(TransformConfig, CallOptions):
    """A model turns a text of each record into a vector: the output is `{embedding: [0.1, ...]}`."""

    type: Literal["embed"]
    model: str = Field(description="`provider:model`, e.g. `openai:text-embedding-3-small`; see `type: ai`.")
    field: str | None = Field(None, min_length=1, description="The input field whose text is embedded.")
    text: str | None = Field(
        None, min_length=1, description="Instead: a Jinja2 template of the text; it sees `input` and `params`."
    )
    into: str = Field("embedding", min_length=1, description="The field of the output that holds the vector.")
    dimensions: int | None = Field(
        None, ge=1, le=100_000, description="The length of the vectors: asked for, and checked. Default: the model's."
    )
    normalize: bool = Field(False, description="Whether vectors are scaled to the length 1.")
    texts_per_call: int = Field(64, ge=1, le=2048, description="Records that share a call.")
    base_url: WebLocation | None = Field(
        None, description="Where the model's provider is. Default: `providers`, else its usual address."
    )
    api_key: SecretRef | None = Field(
        None, description="A credential reference. Default: `providers`, else its usual one where that is set."
    )
    cache: CacheConfig = Field(default_factory=CacheConfig, description="Reuse of results between runs.")
    timeout: Limit | None = Field(None, description="What one call may take. Default: 35 s.")
    rate_limit: RateLimit | None = Field(
        None, description="How much all workers together may ask of the model. Default: that of `providers`."
    )

    @property
    def made_by(self) -> str | None:
        return self.model

    @property
    def vector(self) -> dict[str, Any]:
        """Return the JSON Schema of the vectors."""
        bounds = {} if self.dimensions is None else {"minItems": self.dimensions, "maxItems": self.dimensions}
        return {"type": "array", "items": {"type": "number"}, "format": "vector", **bounds}

    @cached_property
    def declared_schema(self) -> Mapping[str, Any] | None:
        fields = {self.into: self.vector}
        return {"type": "object", "properties": fields, "required": [self.into], "additionalProperties": False}

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """The text is named once, and the output is what it is."""
        yield from TransformConfig.mistakes(written)
        if (said(written, "field") is None) == (said(written, "text") is None):
            yield mistake((), "missing_for_type", "one of `field` and `text`, which says what is embedded", written)
        for key in ("output", "calibration"):
            if said(written, key) is not None:
                expected = f"no `{key}` in a transform of type embed: its output is a vector, in the field `into`"
                yield mistake((key,), "strange_for_type", expected, said(written, key))


def embedded_text(transform: Any) -> str | None:
    """Return the template of the text that a transform embeds, as written or as a model; None where it has none."""
    text = said(transform, "text") if said(transform, "type") == "embed" else None
    return text if isinstance(text, str) else None
