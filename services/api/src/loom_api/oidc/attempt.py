"""Derives what ties one attempt to sign in together: one secret, which a cookie of the browser holds."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Attempt:
    """Represents one attempt to sign in. What goes to the provider says nothing of the secret, so that whoever sees it
    cannot end the attempt in another browser."""

    secret: str

    @classmethod
    def begin(cls) -> Attempt:
        """Begin an attempt."""
        return cls(secrets.token_urlsafe(32))

    def _derived(self, purpose: str) -> str:
        return _encoded(hmac.digest(self.secret.encode(), purpose.encode(), hashlib.sha256))

    @property
    def state(self) -> str:
        """Return what the provider sends back with the answer."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """Return what the provider puts into the ID token."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """Return what shows the provider that the answer comes to whom it was meant for (PKCE, RFC 7636)."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """Return what the provider compares the verifier with."""
        return _encoded(hashlib.sha256(self.verifier.encode()).digest())

    def fits(self, state: str) -> bool:
        """Tell whether an answer belongs to this attempt."""
        return hmac.compare_digest(self.state.encode(), state.encode())
