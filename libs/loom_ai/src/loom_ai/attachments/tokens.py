"""Computes the tokens that providers charge for attachments, by the rules that they publish.

`most` is a bound that a budget reserves; where a measure or a model is unknown, it is the highest that any rule gives.
`likely` is what an estimate tells. What is charged is what the provider counts.

- Anthropic: width x height / 750, after the image was scaled down. Models up to 4.6 scale to about 1,600 tokens, later
  ones to 4,784. A page of a PDF is an image, and 1,500 to 3,000 tokens of text.
- OpenAI: 4o, 4.1, 4.5, 5 and o-models count tiles of 512 pixels; their mini and nano models count patches of 32 pixels,
  at most 1,536, times a factor. Recordings are 10 tokens a second.
- Google: 258 for each tile of 768 pixels, or up to 1,120 for an image (Gemini 3). Recordings are 32 tokens a second."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from loom_ai.ports import ModelCall
from loom_common.domain.question.attachment import Attachment

_LARGEST = 6_200
"""The most tokens of an image at an endpoint whose rule is unknown."""
_PAGES = 100
"""The pages of a document that does not tell how many it has: the most that Anthropic takes."""
_TEXT_OF_PAGE = 3_000
_SLOWEST = 4_000
"""The bytes of a second of a recording of unknown length, at the least: 32 kbit/s."""
_USUAL = 16_000
"""Holds the bytes of a second that an estimate goes by: 128 kbit/s."""
_TILES = {
    re.compile(r"gpt-4o-mini"): (2833, 5667),
    re.compile(r"gpt-5(?!.*(mini|nano))"): (70, 140),
    re.compile(r"o1|o3"): (75, 150),
    re.compile(r"computer-use"): (65, 129),
    re.compile(r"gpt-4o|gpt-4\.1(?!.*(mini|nano))|gpt-4\.5|gpt-4-"): (85, 170),
}
"""Tokens of an image and of each of its tiles, by the beginning of a model's name; the first that matches counts."""
_PATCHES = {
    re.compile(r"o4-mini"): 1.72,
    re.compile(r"gpt-(4\.1|5).*nano"): 2.46,
    re.compile(r"gpt-(4\.1|5).*mini"): 1.62,
}
_LARGE_IMAGES = re.compile(r"claude-(?:opus|sonnet|haiku)-(?:4-[7-9]|4-\d\d(?!\d)|[5-9])")
"""Models of Anthropic that look at larger images than the earlier ones did."""


def attached(call: ModelCall, count: Callable[[Attachment, str, str], int]) -> int:
    """Return the tokens of all attachments of a call, by `most` or `likely`."""
    return sum(count(each, call.provider, call.model) for message in call.messages for each in message.attachments)


def most(attachment: Attachment, provider: str, model: str) -> int:
    """Return the most tokens that an attachment counts as."""
    match attachment.kind:
        case "image":
            return _image(attachment, provider, model)
        case "document":
            return (attachment.pages or _PAGES) * (_TEXT_OF_PAGE + _page(provider, model))
        case "audio":
            return math.ceil(_per_second(provider) * (attachment.seconds or len(attachment.data) / _SLOWEST)) + 32


def likely(attachment: Attachment, provider: str, model: str) -> int:
    """Return the tokens that an attachment is likely to count as."""
    match attachment.kind:
        case "image":
            return _image(attachment, provider, model)
        case "document":
            text = 0 if provider == "google" else _TEXT_OF_PAGE // 4
            return (attachment.pages or 1) * (text + _page(provider, model))
        case "audio":
            return math.ceil(_per_second(provider) * (attachment.seconds or len(attachment.data) / _USUAL))


def _image(image: Attachment, provider: str, model: str) -> int:
    width, height = image.width, image.height
    match provider:
        case "anthropic":
            cap = 4_784 if _LARGE_IMAGES.search(model) else 1_600
            return min(cap, math.ceil(width * height / 750) or cap) + 16
        case "google":
            return 1_120 if not width or not height else max(1_120, 258 * _google_tiles(width, height))
        case "openai":
            return _openai_image(image, model)
    return _LARGEST


def _google_tiles(width: int, height: int) -> int:
    if max(width, height) <= 384:
        return 1
    side = min(768, max(256, min(width, height) // 1.5))
    return math.ceil(width / side) * math.ceil(height / side)


def _openai_image(image: Attachment, model: str) -> int:
    for pattern, factor in _PATCHES.items():
        if pattern.match(model):
            patches = math.ceil(image.width / 32) * math.ceil(image.height / 32) or 1_536
            return math.ceil(min(patches, 1_536) * factor)
    for pattern, (base, tile) in _TILES.items():
        if pattern.match(model):
            return base if image.detail == "low" else base + tile * _openai_tiles(image.width, image.height)
    return _LARGEST


def _openai_tiles(width: int, height: int) -> int:
    """Count tiles of 512 pixels after the image was scaled into 2,048 pixels, and its shorter side to 768."""
    if not width or not height:
        return 8
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    return math.ceil(width * scale / 512) * math.ceil(height * scale / 512)


def _page(provider: str, model: str) -> int:
    match provider:
        case "anthropic":
            return 4_784 if _LARGE_IMAGES.search(model) else 1_600
        case "google":
            return 1_120
    return 1_500


def _per_second(provider: str) -> int:
    return 32 if provider == "google" else 10
