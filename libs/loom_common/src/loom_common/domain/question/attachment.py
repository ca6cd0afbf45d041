"""Represents an image, document or recording that is part of a question."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from loom_common.domain.model_options.attachments import AttachmentKind


@dataclass(frozen=True, slots=True)
class Attachment:
    """Holds the content of an attachment, or the address that the model's provider fetches it from."""

    kind: AttachmentKind
    media_type: str
    """Is found in the content; of an address that is handed on, by the ending of its path."""
    digest: str
    """The SHA-256 of the content, in hexadecimal digits; empty for an address that is handed on."""
    data: bytes = field(default=b"", repr=False, compare=False)
    url: str | None = None
    detail: str | None = None
    name: str = "attachment"
    """The last part of its place, for providers that want a file's name. Not part of the journal key."""
    width: int = 0
    """The width and height of an image in pixels; 0 where they are unknown."""
    height: int = 0
    pages: int = 0
    """The number of pages of a document; 0 where it is unknown."""
    seconds: float = 0.0
    """The length of a recording; 0 where it is unknown."""

    @property
    def identity(self) -> list[Any]:
        """Return JSON values that are equal for equal contents only, wherever they lie."""
        return [self.kind, self.media_type, self.digest or self.url, self.detail]

    @property
    def told(self) -> str:
        """Describe the attachment in one line, without its content."""
        what = f"{len(self.data):,} bytes, sha256 {self.digest[:12]}" if self.url is None else "by its address"
        return f"[{self.kind} {self.media_type}, {what}]"
