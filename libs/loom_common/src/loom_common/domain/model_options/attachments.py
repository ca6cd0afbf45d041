"""Defines the images, documents and recordings that a question shows beside its text."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from loom_common.domain.section import Mistake, Section, mistake, said

KINDS = ("image", "document", "audio")
AttachmentKind = Literal["image", "document", "audio"]


class AttachmentConfig(Section):
    """Names one image, document or recording by a template that gives its place: a path within the project, the
    address of an object or a web page, a `data:` URL, or a field of bytes. It has exactly one of the first three
    keys."""

    image: str | None = Field(None, min_length=1, description='PNG, JPEG, GIF or WebP: `"{{ input.photo }}"`.')
    document: str | None = Field(None, min_length=1, description="PDF.")
    audio: str | None = Field(None, min_length=1, description="WAV or MP3; Google also takes FLAC and OGG.")
    detail: Literal["auto", "low", "high"] | None = Field(
        None, description="How closely OpenAI's models look at an image. `low` costs least. Others have no such choice."
    )
    optional: bool = Field(
        False, description="Whether a record may have none: its template gives an empty text, `null` or `none`."
    )
    max_bytes: int = Field(
        10_000_000, ge=1, le=32_000_000, description="A larger one quarantines its record, as `attachment_too_large`."
    )
    url: Literal["fetch", "pass_on", "refuse"] = Field(
        "fetch",
        description="What becomes of http(s) addresses: Loom fetches them, from public addresses only; hands them on "
        "to the model's provider, which fetches them; or refuses them.",
    )

    @property
    def kind(self) -> AttachmentKind:
        """Return which kind of file the attachment is."""
        return "image" if self.image is not None else "document" if self.document is not None else "audio"

    @property
    def place(self) -> str:
        """Return the template of its place."""
        return self.image or self.document or self.audio or ""

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """An attachment is one thing, and only images have a detail."""
        named = [kind for kind in KINDS if said(written, kind) is not None]
        if len(named) != 1:
            yield mistake((), "one_kind", "one of `image`, `document` and `audio`", written)
        if said(written, "detail") is not None and named != ["image"]:
            yield mistake(("detail",), "strange_for_type", "no `detail` beside an image", said(written, "detail"))
