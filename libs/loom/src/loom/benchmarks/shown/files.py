"""Writes text files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

from loom_common.errors import ConfigurationError
from loom_connectors.storage.local import followed, put_in_place


def put(text: str, file: Path) -> None:
    """Write a text to a file. A link is followed. Raises `ConfigurationError` where it cannot be written."""
    file = followed(file)
    part = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", newline="")
        put_in_place(part, file)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)
