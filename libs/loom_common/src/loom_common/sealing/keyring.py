"""Gets the keys of sensitive fields from where they are kept, in the process that needs them, when it first does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from loom_common.config.credentials import Credentials
from loom_common.errors import ConfigurationError, DependencyUnavailable, MissingCredential
from loom_common.sealing.keys import Key, Keys

HINT = "Make a key with `openssl rand -base64 32`, and keep it: what it has sealed can be read with nothing else."


class Keyring:
    """Holds references of keys. The first seals; all of them open."""

    def __init__(self, references: Sequence[str], credentials: Credentials) -> None:
        self._references = tuple(references)
        self._credentials = credentials
        self._keys: Keys | None = None

    async def keys(self) -> Keys:
        """Return the keys. Raises `ConfigurationError` where one is missing or unusable, `DependencyUnavailable`."""
        if self._keys is None:
            await self._credentials.fetch(*self._references)
            self._keys = await asyncio.to_thread(self._read)
        return self._keys

    def _read(self) -> Keys:
        if not self._references:
            raise ConfigurationError("No key of sensitive fields is named: LOOM_ENCRYPTION_KEYS.")
        return Keys([Key.read(self._credentials.expand(each), each) for each in self._references])

    def trouble(self) -> str | None:
        """Say why the keys cannot be used, in words; None where they can. It may ask where they are kept, and block."""
        try:
            self._read()
        except MissingCredential as error:
            return f"{error} {HINT}"
        except (ConfigurationError, DependencyUnavailable) as error:
            return str(error)
        return None
