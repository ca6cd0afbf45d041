"""Tests what Loom knows of an attachment: its kind by its content, its measures, its tokens, and its key."""

from __future__ import annotations

import base64
import hashlib

import orjson
import pytest

from loom_ai.attachments.contents import media_type_of, pages_of, seconds_of, size_of_image
from loom_ai.attachments.tokens import likely, most
from loom_ai.keys import key_of
from loom_ai.pacing import token_bounds
from loom_ai.ports import ChatMessage, ModelCall
from loom_ai.recordings.cassette import recorded
from loom_ai.wire import anthropic, google, openai
from loom_ai.wire.form import Form
from loom_ai.wire.usage import ReportedUsage, checked_usage
from loom_common.domain.question.attachment import Attachment
from support.media import jpeg, pdf, png, wav
from support.scripted_model import answer_of

WEBP = b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0" + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")
GIF = b"GIF89a" + (320).to_bytes(2, "little") + (200).to_bytes(2, "little")


def image(data: bytes = b"", **changes) -> Attachment:
    data = data or png(1024, 1024)
    kind, media_type = media_type_of(data)
    values = {"data": data, "digest": hashlib.sha256(data).hexdigest(), "width": 1024, "height": 1024}
    return Attachment(**{"kind": kind, "media_type": media_type, **values, **changes})


def call(*attachments: Attachment, model: str = "gpt-4o", provider: str = "openai") -> ModelCall:
    message = ChatMessage("user", "What is this?", attachments)
    return ModelCall(model, (ChatMessage("system", "Look."), message), "http://h/v1", provider=provider)


@pytest.mark.parametrize(
    ("data", "kind", "media_type", "size"),
    [
        (png(640, 480), "image", "image/png", (640, 480)),
        (jpeg(800, 600), "image", "image/jpeg", (800, 600)),
        (WEBP, "image", "image/webp", (640, 480)),
        (GIF, "image", "image/gif", (320, 200)),
        (b"\xff\xd8\xff\xe0\0", "image", "image/jpeg", (0, 0)),
        (pdf(1), "document", "application/pdf", None),
        (wav(1), "audio", "audio/wav", None),
        (b"ID3\x04", "audio", "audio/mp3", None),
        (b"\xff\xfb\x90\0", "audio", "audio/mp3", None),
    ],
)
def test_a_content_is_told_by_its_bytes(data, kind, media_type, size):
    assert media_type_of(data) == (kind, media_type)
    if size is not None:
        assert size_of_image(data, media_type) == size


@pytest.mark.parametrize("data", [b"", b"<html>", b"MZ\x90", b"\x89PN", b"RIFF\0\0\0\0AVI ", b"#!/bin/sh"])
def test_other_contents_are_nothing_that_models_take(data):
    assert media_type_of(data) is None


@pytest.mark.parametrize("packed", [False, True])
def test_the_pages_of_a_document_are_counted(packed):
    assert pages_of(pdf(7, packed=packed)) == 7


def test_the_length_of_a_recording_is_read():
    assert seconds_of(wav(2.0), "audio/wav") == pytest.approx(2.0, abs=0.01)
    assert seconds_of(b"ID3\x04", "audio/mp3") == 0


@pytest.mark.parametrize(
    ("provider", "model", "width", "height", "detail", "tokens"),
    [
        # The examples that the providers publish.
        ("openai", "gpt-4o", 1024, 1024, "high", 765),
        ("openai", "gpt-4o", 2048, 4096, "high", 1105),
        ("openai", "gpt-4o", 4096, 8192, "low", 85),
        ("openai", "gpt-4.1-mini", 1024, 1024, None, 1659),
        ("openai", "gpt-4o-mini", 1024, 1024, None, 2833 + 4 * 5667),
        ("openai", "gpt-5", 1024, 1024, None, 70 + 4 * 140),
        ("anthropic", "claude-sonnet-4-5", 200, 200, None, 54 + 16),
        ("anthropic", "claude-sonnet-4-5", 1092, 1092, None, 1590 + 16),
        ("anthropic", "claude-sonnet-4-5", 8000, 8000, None, 1600 + 16),
        ("anthropic", "claude-opus-4-7", 8000, 8000, None, 4784 + 16),
        ("google", "gemini-2.5-flash", 384, 384, None, 1120),
        ("google", "gemini-2.5-flash", 3072, 3072, None, 16 * 258),
        ("vllm", "qwen-vl", 64, 64, None, 6200),
    ],
)
def test_an_image_counts_by_the_rule_of_its_provider(provider, model, width, height, detail, tokens):
    attachment = image(width=width, height=height, detail=detail)
    assert most(attachment, provider, model) == tokens
    assert likely(attachment, provider, model) <= tokens


def test_what_is_unknown_counts_at_its_highest():
    unknown = image(width=0, height=0)
    assert most(unknown, "openai", "gpt-4o") == 85 + 8 * 170
    assert most(unknown, "anthropic", "claude-haiku-4-5") == 1616
    document = Attachment("document", "application/pdf", "d", b"x")
    assert most(document, "anthropic", "claude-haiku-4-5") == 100 * 4600
    assert most(document, "google", "gemini-2.5-pro") > most(
        Attachment("document", "application/pdf", "d", pages=3), "google", "x"
    )
    assert most(Attachment("audio", "audio/mp3", "d", bytes(40_000)), "openai", "gpt-4o-audio-preview") == 132


def test_a_bound_and_an_estimate_hold_the_attachments():
    bare, with_image = call(), call(image())
    assert token_bounds.most(with_image) == token_bounds.most(bare) + 765
    reported = ReportedUsage(given=500_000, answered=5)
    many_pages = call(Attachment("document", "application/pdf", "d", pages=100), provider="anthropic")
    assert checked_usage(many_pages, "x", reported).estimated is False
    assert checked_usage(bare, "x", reported).estimated is True


def test_the_key_is_of_the_content_and_not_of_its_place():
    one, same = call(image(name="a.png")), call(image(name="b.png"))
    other = call(image(png(1024, 1024, b"other")))
    assert key_of(one) == key_of(same)
    assert len({key_of(each) for each in (call(), one, other, call(image(detail="low")))}) == 4
    passed_on = [call(image(digest="", url=f"https://h/{n}.png")) for n in "ab"]
    assert key_of(passed_on[0]) != key_of(passed_on[1])


def test_openai_has_parts_in_front_of_the_text():
    parts = call(
        image(detail="low"),
        Attachment("document", "application/pdf", "d", b"%PDF", name="bill.pdf"),
        Attachment("audio", "audio/mp3", "a", b"ID3"),
        image(digest="", url="https://h/a.png"),
    )
    body = orjson.loads(openai.request_body(parts, Form.PLAIN))
    data = base64.b64encode(png(1024, 1024)).decode()
    assert body["messages"] == [
        {"role": "system", "content": "Look."},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}", "detail": "low"}},
                {"type": "file", "file": {"filename": "bill.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}},
                {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}},
                {"type": "image_url", "image_url": {"url": "https://h/a.png"}},
                {"type": "text", "text": "What is this?"},
            ],
        },
    ]


def test_anthropic_has_sources():
    parts = call(
        Attachment("image", "image/gif", "d", GIF),
        Attachment("document", "application/pdf", "d", b"%PDF"),
        image(digest="", url="https://h/a.png"),
    )
    body = orjson.loads(anthropic.request_body(parts, Form.PLAIN))
    assert body["system"] == "Look."
    assert body["messages"][0]["content"] == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/gif", "data": base64.b64encode(GIF).decode()},
        },
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}},
        {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}},
        {"type": "text", "text": "What is this?"},
    ]


def test_google_has_inline_data():
    parts = call(
        Attachment("audio", "audio/wav", "d", b"RIFF"),
        Attachment("image", "image/png", "", url="https://h/a.png"),
        provider="google",
    )
    body = orjson.loads(google.request_body(parts, Form.PLAIN))
    assert body["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "audio/wav", "data": "UklGRg=="}},
        {"fileData": {"mimeType": "image/png", "fileUri": "https://h/a.png"}},
        {"text": "What is this?"},
    ]


def test_a_recording_shows_that_there_was_an_attachment_and_not_its_content():
    kept = recorded(call(image()), answer_of("a cat"), lambda text: text)
    assert kept.question[1][1].startswith("[image image/png, ")
    assert kept.question[1][1].endswith("]\nWhat is this?")
