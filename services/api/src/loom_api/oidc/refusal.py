"""Says that somebody is not signed in, and why."""

from __future__ import annotations

from loom_common.errors import PermanentError


class SignInRefused(PermanentError):
    """Reports that what came from a provider, or in its name, does not say who somebody is. The words go to whoever
    asks, and hold nothing of the token."""
