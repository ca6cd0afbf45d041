"""Names records that were stored before the run that reads them, and locates them as a source."""

from __future__ import annotations

import re

SCHEME = "loom-records"
"""The scheme of a source that is stored records: `loom-records://<name>`."""
_BEGIN = f"{SCHEME}://"
_NAME = re.compile(r"given_[0-9a-f]{32}/[0-9a-f]{64}")


def is_name(text: str) -> bool:
    """Tell whether this is a name that storing records may have given: the set, and the payload that lists its
    pieces."""
    return _NAME.fullmatch(text) is not None


def owner_of(name: str) -> str:
    """Return the set of records, which owns their pieces in the payload store."""
    return name.partition("/")[0]


def is_owner(owner: str) -> bool:
    """Tell whether an owner of payloads is a set of records."""
    return owner.startswith("given_")


def source_of(name: str) -> str:
    """Return the records as a source."""
    return f"{_BEGIN}{name}"


def name_in(source: str) -> str | None:
    """Return the name of the records that a source is; None for another source."""
    return source.removeprefix(_BEGIN) if source.startswith(_BEGIN) else None
