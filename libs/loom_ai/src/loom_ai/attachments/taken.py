"""Says which attachments each protocol has, and how many bytes of them."""

from __future__ import annotations

from collections.abc import Collection

from loom_common.domain.model_options.attachments import AttachmentConfig
from loom_common.errors import PermanentError

TAKEN: dict[str, frozenset[str]] = {
    "openai": frozenset({"image", "document", "audio"}),
    "anthropic": frozenset({"image", "document"}),
    "google": frozenset({"image", "document", "audio"}),
}
"""Holds the kinds of attachments that each protocol has."""
PASSED_ON = frozenset({("openai", "image"), ("anthropic", "image"), ("anthropic", "document"), ("google", "image"),
                       ("google", "document"), ("google", "audio")})  # fmt: skip
"""Holds the protocols and kinds for which an address can be handed on in place of the content."""
LARGEST: dict[str, int] = {"openai": 36_000_000, "anthropic": 23_000_000, "google": 14_000_000}
"""The most bytes of all attachments of one question, so that it fits into a request once it is encoded."""


def see_that_they_are_taken(attachments: Collection[AttachmentConfig], protocols: Collection[str]) -> None:
    """Raise `PermanentError` where a model is asked by a protocol that does not have one of the attachments."""
    for each in attachments:
        for protocol in protocols:
            if each.kind not in TAKEN.get(protocol, ()):
                raise PermanentError(
                    f"A model that is asked by the protocol {protocol} takes no {each.kind} from Loom. Ask a model of "
                    f"{' or '.join(sorted(name for name, kinds in TAKEN.items() if each.kind in kinds))}."
                )
            if each.url == "pass_on" and (protocol, each.kind) not in PASSED_ON:
                raise PermanentError(
                    f"By the protocol {protocol} no address of {each.kind} files can be passed on: `url: fetch`."
                )
