"""Seals texts with AES-256-GCM, and opens what was sealed: docs/adr/0029.

A sealed value is `loom-sealed.1.` and, in base64, the name of its key (4 bytes), a salt (16), a nonce (12), and the
ciphertext with its tag. Each process encrypts with keys of its own, which follow from the key and a random salt: random
nonces of 96 bits then suffice for any number of values. What a value is good for (its pipeline and field) is
authenticated with it, so that it cannot be opened elsewhere. Values are padded: their length tells little."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachetools import LRUCache

from loom_common.domain.sealing.tokens import PREFIX
from loom_common.errors import ConfigurationError, PermanentError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NAME, _SALT, _NONCE, _TAG = 4, 16, 12, 16
_PADDED_TO = 32
_END = b"\x80"
"""Stands between a text and the zeros that it is padded with (ISO/IEC 7816-4)."""
_PER_SALT = 2**30
"""The number of values that are sealed under one salt. The limit for random nonces is 2**32 (NIST SP 800-38D)."""
_KEPT = 1024


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """Holds a secret from which keys of encryption are derived. It is shown nowhere."""

    secret: bytes

    @classmethod
    def read(cls, text: str, reference: str) -> Key:
        """Read a key: 32 random bytes in base64. Raises `ConfigurationError`, which does not quote it."""
        try:
            secret = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if len(secret) != KEY_BYTES:
            raise ConfigurationError(
                f"{reference} is no key for sensitive fields: expected {KEY_BYTES} random bytes in base64. "
                "Make one with `openssl rand -base64 32`."
            )
        return cls(secret)

    @property
    def name(self) -> bytes:
        """Return what a sealed value names its key by. It tells nothing of the key."""
        return self.derived(b"loom key name")[:_NAME]

    def derived(self, purpose: bytes) -> bytes:
        """Return a key for one purpose (HKDF-Expand of RFC 5869, whose first block is enough)."""
        return hmac.digest(self.secret, purpose + b"\x01", "sha256")


class Keys:
    """Seals with the first of several keys, and opens what any of them has sealed."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = {key.name: key for key in keys}
        self._newest = keys[0]
        self._indexes = [key.derived(b"loom index") for key in keys]
        self._ciphers: LRUCache[bytes, AESGCM] = LRUCache(_KEPT)
        self._salt, self._sealed = secrets.token_bytes(_SALT), 0

    def seal(self, text: bytes, context: str) -> str:
        """Return the text sealed for one context alone."""
        self._sealed += 1
        if self._sealed > _PER_SALT:
            self._salt, self._sealed = secrets.token_bytes(_SALT), 1
        begin = self._newest.name + self._salt
        nonce = secrets.token_bytes(_NONCE)
        padded = text + _END + bytes(-(len(text) + 1) % _PADDED_TO)
        sealed = self._cipher(begin).encrypt(nonce, padded, context.encode())
        return PREFIX + base64.urlsafe_b64encode(begin + nonce + sealed).decode().rstrip("=")

    def open(self, token: str, context: str) -> bytes:
        """Return the text that was sealed. Raises `PermanentError` where its key is
        not among these, or where it was sealed for another context or changed."""
        body = token.removeprefix(PREFIX)
        try:
            data = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        except (binascii.Error, ValueError):
            data = b""
        if len(data) < _NAME + _SALT + _NONCE + _TAG:
            raise PermanentError("A sealed value is cut, so that it cannot be opened.")
        if data[:_NAME] not in self._keys:
            raise PermanentError(
                f"A sealed value cannot be opened: its key ({data[:_NAME].hex()}) is not among those of "
                f"LOOM_ENCRYPTION_KEYS here ({', '.join(name.hex() for name in self._keys)}). Name it there, after "
                "the newest; then go on with `loom resume`."
            )
        from cryptography.exceptions import InvalidTag

        start = _NAME + _SALT
        cipher = self._cipher(data[:start])
        try:
            padded = cipher.decrypt(data[start : start + _NONCE], data[start + _NONCE :], context.encode())
        except InvalidTag:
            raise PermanentError(
                "A sealed value cannot be opened: it was changed, or it was sealed for another pipeline or field."
            ) from None
        return padded.rstrip(b"\0")[:-1]

    def indexes(self, text: str) -> list[str]:
        """Return 64 hexadecimal digits that stand for a text, by each key, the newest first. Who has no key cannot find
        out the text by trying."""
        return [hmac.digest(index, text.encode(), hashlib.sha256).hex() for index in self._indexes]

    def _cipher(self, begin: bytes) -> AESGCM:
        if (cipher := self._ciphers.get(begin)) is None:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            key = self._keys[begin[:_NAME]]
            cipher = self._ciphers[begin] = AESGCM(key.derived(b"loom seal" + begin[_NAME:]))
        return cipher
