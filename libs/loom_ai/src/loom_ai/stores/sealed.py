"""Keeps answers that hold sensitive values encrypted in any journal, under keys by which nobody can guess a
question."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from loom_ai.journal.claims import Claim, Claims
from loom_ai.keys import SEALED
from loom_ai.ports import Entry, Journal, Kept
from loom_common.domain.sealing.tokens import is_sealed
from loom_common.errors import ConfigurationError, PermanentError
from loom_common.sealing.keyring import Keyring
from loom_common.sealing.keys import Keys

_CONTEXT = "journal"
"""Says what the text of an answer is sealed for, with the key of its question."""


class SealedJournal:
    """Implements a `Journal` by another one. Entries that hold nothing sensitive pass as they are."""

    def __init__(self, journal: Journal, keyring: Keyring) -> None:
        self._journal = journal
        self._keyring = keyring

    async def get_many(self, keys: Sequence[str]) -> dict[str, Entry]:
        if not any(key.startswith(SEALED) for key in keys):
            return await self._opened(await self._journal.get_many(keys))
        secret = await _keys(self._keyring)
        names = {key: secret.indexes(key) if key.startswith(SEALED) else [key] for key in keys}
        found = await self._opened(await self._journal.get_many([each for some in names.values() for each in some]))
        return {
            key: replace(found[name], key=key, sealed=key.startswith(SEALED))
            for key, some in names.items()
            if (name := next((each for each in some if each in found), None)) is not None
        }

    async def put_many(self, entries: Sequence[Entry]) -> None:
        if any(entry.sealed or entry.key.startswith(SEALED) for entry in entries):
            keys = await _keys(self._keyring)
            entries = [_sealed(entry, keys) for entry in entries]
        await self._journal.put_many(entries)

    async def kept(self) -> list[Kept]:
        return await self._journal.kept()

    async def clear(self, before: dt.datetime | None = None, model: str | None = None) -> int:
        return await self._journal.clear(before, model)

    async def close(self) -> None:
        await self._journal.close()

    async def _opened(self, found: dict[str, Entry]) -> dict[str, Entry]:
        """Return the entries with plain texts. One that cannot be opened is none: a key was taken away, or a model's
        answer looks like a sealed one."""
        if not any(is_sealed(entry.answer.text) for entry in found.values()):
            return found
        keys = await _keys(self._keyring)
        opened: dict[str, Entry] = {}
        for name, entry in found.items():
            if not is_sealed(entry.answer.text):
                opened[name] = entry
                continue
            try:
                text = keys.open(entry.answer.text, f"{_CONTEXT}/{name}").decode("utf-8", "surrogatepass")
            except PermanentError:
                continue
            opened[name] = replace(entry, answer=replace(entry.answer, text=text))
        return opened


class SealedClaims:
    """Implements `Claims` by others, under the keys of `SealedJournal`."""

    def __init__(self, claims: Claims, keyring: Keyring) -> None:
        self._claims = claims
        self._keyring = keyring

    async def take(self, claims: Sequence[Claim]) -> Sequence[bool]:
        return await self._claims.take(await self._named(claims))

    async def release(self, claims: Sequence[Claim]) -> None:
        await self._claims.release(await self._named(claims))

    async def close(self) -> None:
        await self._claims.close()

    async def _named(self, claims: Sequence[Claim]) -> Sequence[Claim]:
        if not any(claim.key.startswith(SEALED) for claim in claims):
            return claims
        keys = await _keys(self._keyring)
        return [replace(claim, key=_name(claim.key, keys)) for claim in claims]


def _name(key: str, keys: Keys) -> str:
    return keys.indexes(key)[0] if key.startswith(SEALED) else key


def _sealed(entry: Entry, keys: Keys) -> Entry:
    name = _name(entry.key, keys)
    if not entry.sealed:
        return replace(entry, key=name)
    text = keys.seal(entry.answer.text.encode("utf-8", "surrogatepass"), f"{_CONTEXT}/{name}")
    return replace(entry, key=name, answer=replace(entry.answer, text=text))


async def _keys(keyring: Keyring) -> Keys:
    try:
        return await keyring.keys()
    except ConfigurationError as error:
        raise PermanentError(f"The journal holds sensitive answers, and their key cannot be used: {error}") from error
