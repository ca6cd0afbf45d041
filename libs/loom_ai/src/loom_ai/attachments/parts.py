"""Writes a message with attachments as each protocol has it: they stand in front of the text. It does no I/O."""

from __future__ import annotations

import base64
from typing import Any

from loom_ai.ports import ChatMessage
from loom_common.domain.question.attachment import Attachment


def openai_content(message: ChatMessage) -> str | list[dict[str, Any]]:
    """Return the `content` of a message for chat completions."""
    if not message.attachments:
        return message.content
    parts = [_openai_part(each) for each in message.attachments]
    return [*parts, {"type": "text", "text": message.content}]


def _openai_part(each: Attachment) -> dict[str, Any]:
    match each.kind:
        case "image":
            image = {"url": each.url or _data_url(each), **({"detail": each.detail} if each.detail else {})}
            return {"type": "image_url", "image_url": image}
        case "document":
            return {"type": "file", "file": {"filename": each.name, "file_data": _data_url(each)}}
        case "audio":
            form = each.media_type.removeprefix("audio/")
            return {"type": "input_audio", "input_audio": {"data": _encoded(each), "format": form}}


def anthropic_content(message: ChatMessage) -> str | list[dict[str, Any]]:
    """Return the `content` of a message for the Messages API."""
    if not message.attachments:
        return message.content
    parts = [{"type": each.kind, "source": _anthropic_source(each)} for each in message.attachments]
    return [*parts, {"type": "text", "text": message.content}]


def _anthropic_source(each: Attachment) -> dict[str, Any]:
    if each.url is not None:
        return {"type": "url", "url": each.url}
    return {"type": "base64", "media_type": each.media_type, "data": _encoded(each)}


def google_parts(message: ChatMessage) -> list[dict[str, Any]]:
    """Return the `parts` of a message for `generateContent`."""
    return [*map(_google_part, message.attachments), {"text": message.content}]


def _google_part(each: Attachment) -> dict[str, Any]:
    if each.url is not None:
        return {"fileData": {"mimeType": each.media_type, "fileUri": each.url}}
    return {"inlineData": {"mimeType": each.media_type, "data": _encoded(each)}}


def _encoded(each: Attachment) -> str:
    return base64.b64encode(each.data).decode()


def _data_url(each: Attachment) -> str:
    return f"data:{each.media_type};base64,{_encoded(each)}"
