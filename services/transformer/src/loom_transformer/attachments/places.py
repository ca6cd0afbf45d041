"""Reads an attachment from where a record says it is: a path, an address, a `data:` URL, or bytes.

A record is not trusted. A path has to stay in the project; an address of the web must be a public one; the bucket of an
object has to stand in the pipeline's own template, because the worker's credentials may open others."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from pathlib import Path, PurePosixPath
from urllib.parse import unquote_to_bytes, urlsplit

from loom_common.allowed_paths import AllowedPaths
from loom_common.config.credentials import Credentials
from loom_common.domain.model_options.attachments import AttachmentConfig
from loom_common.domain.values.urls import redacted
from loom_common.errors import LoomError, PathNotAllowed, RecordError, TransientError
from loom_common.http.public_addresses import allowed_networks, too_large

REFUSED = "attachment_refused"
UNREADABLE = "attachment_unreadable"
_BUCKETS = ("s3", "gs", "az")
_SHOWN = 200


class AttachmentPlaces:
    """Reads attachments on one machine."""

    def __init__(self, allowed: tuple[Path, ...], credentials: Credentials | None = None) -> None:
        """`allowed` are the folders that paths may lead to, the project's first. Raises `ConfigurationError` where
        `LOOM_ALLOWED_NETWORKS` cannot be read."""
        self._allowed = allowed
        self._credentials = credentials or Credentials()
        self._networks = allowed_networks()

    async def read(self, place: str, config: AttachmentConfig, folder: Path) -> bytes:
        """Return the content at a place, of at most `config.max_bytes`; relative paths start at `folder`.

        Raises `RecordError`, and `TransientError` where a bucket is out of reach."""
        most = config.max_bytes
        if (given := _given(place)) is not None:
            return _within(given, "the record's content", most)
        scheme = scheme_in(place)
        if scheme in ("http", "https"):
            if config.url != "fetch":
                raise RecordError(f"{shown(place)} is an address, and the pipeline fetches none", code=REFUSED)
            from loom_common.http.public_fetch import fetch

            return await fetch(place, most, self._networks)
        if scheme in _BUCKETS:
            _see_that_the_pipeline_names_it(place, config.place)
            return await asyncio.to_thread(self._of_bucket, place, most, folder)
        if scheme:
            raise RecordError(f"{shown(place)}: no attachment is read from {scheme}:", code=REFUSED)
        return await asyncio.to_thread(self._of_path, place, most, folder)

    def _of_path(self, place: str, most: int, folder: Path) -> bytes:
        try:
            path = AllowedPaths.of(*self._allowed, folder).real(folder / place)
            with path.open("rb") as file:
                return _within(file.read(most + 1), shown(place), most)
        except PathNotAllowed as error:
            raise RecordError(str(error), code=REFUSED) from None
        except (OSError, ValueError) as error:
            why = (getattr(error, "strerror", None) or str(error)).lower()
            raise RecordError(f"{shown(place)} in {folder} cannot be read: {why}", code=UNREADABLE) from None

    def _of_bucket(self, place: str, most: int, folder: Path) -> bytes:
        from loom_connectors.ports.context import ConnectorContext  # most pipelines read no bucket
        from loom_connectors.registry import named_file

        context = ConnectorContext(folder=folder, credentials=self._credentials, allowed=self._allowed)
        try:
            inputs, file = named_file(place, context)
            with inputs.trouble(file), file.opened() as opened:
                return _within(opened.stream.read(most + 1), shown(place), most)
        except TransientError:
            raise
        except (LoomError, OSError) as error:
            if isinstance(error, RecordError):
                raise
            raise RecordError(f"{shown(place)} cannot be read: {error}", code=UNREADABLE) from None


def scheme_in(place: str) -> str:
    """Return the scheme of an address, in lower case; empty for a path."""
    scheme, colon, _ = place.partition("://")
    return scheme.lower() if colon and scheme.isalnum() else ""


def name_of(place: str) -> str:
    """Return the last part of a place, as a file's name."""
    if _is_given(place):
        return "attachment"
    path = urlsplit(place).path if scheme_in(place) else place.replace("\\", "/")
    return PurePosixPath(path).name[:100] or "attachment"


def shown(place: str) -> str:
    """Return a place as it may be shown: short, and without user, password and query."""
    if _is_given(place):
        return place[:40]
    return redacted(place.partition("?")[0] if scheme_in(place) else place)[:_SHOWN]


def _is_given(place: str) -> bool:
    return place[:5].lower() == "data:" or place.startswith('{"$bytes"')


def _given(place: str) -> bytes | None:
    """Return content that the record itself holds; None where it names a place."""
    if not _is_given(place):
        return None
    try:
        if place.startswith("{"):
            return bytes.fromhex(json.loads(place)["$bytes"])
        head, _, content = place.partition(",")
        if head.lower().endswith(";base64"):
            return base64.b64decode("".join(content.split()), validate=True)
        return unquote_to_bytes(content)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise RecordError(f"The record's content cannot be decoded ({error})", code=UNREADABLE) from None


def _within(data: bytes, place: str, most: int) -> bytes:
    if len(data) > most:
        raise too_large(place, most)
    if not data:
        raise RecordError(f"{place} is empty", code=UNREADABLE)
    return data


def _see_that_the_pipeline_names_it(place: str, template: str) -> None:
    """The bucket and the options of an object's address are the pipeline's to say, not the record's."""
    parts = urlsplit(place)
    bucket = f"{parts.scheme}://{parts.netloc}/"
    if not template.startswith(bucket) or place.count("?") != template.count("?"):
        words = f"the pipeline's template has to begin with the bucket, e.g. `{bucket}{{{{ input.key }}}}`"
        raise RecordError(f"{shown(place)}: {words}", code=REFUSED)
