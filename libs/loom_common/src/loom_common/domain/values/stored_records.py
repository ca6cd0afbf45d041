"""Names records that were stored before the run that reads them, and locates them as a source; names the rows that a
run keeps for the Python code that started it, and locates them as a destination."""

from __future__ import annotations

import re
from uuid import uuid4

SCHEME = "loom-records"
"""The scheme of a source that is stored records: `loom-records://<name>`."""
_BEGIN = f"{SCHEME}://"
_NAME = re.compile(r"given_[0-9a-f]{32}/[0-9a-f]{64}")
ROWS_SCHEME = "loom-rows"
"""The scheme of a destination that keeps rows: `loom-rows://<owner>`."""
_ROWS_BEGIN = f"{ROWS_SCHEME}://"
_ROWS_OWNER = re.compile(r"(kept|handed)_[0-9a-f]{32}")
_HANDED = "handed_"


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


def new_rows_owner() -> str:
    """Return a name for the rows of one run, which owns them in the payload store."""
    return f"kept_{uuid4().hex}"


def new_handed_rows() -> str:
    """Return a name for the rows of one run that are handed to the Python code in its process, and kept nowhere."""
    return f"{_HANDED}{uuid4().hex}"


def are_handed(owner: str) -> bool:
    """Tell whether an owner of rows stands for rows that are handed over and kept nowhere."""
    return owner.startswith(_HANDED)


def owns_rows(owner: str) -> bool:
    """Tell whether a name is that of the rows of a run: kept in the payload store, or handed over."""
    return _ROWS_OWNER.fullmatch(owner) is not None


def destination_of(owner: str) -> str:
    """Return the rows as a destination."""
    return f"{_ROWS_BEGIN}{owner}"


def rows_owner_in(destination: str) -> str | None:
    """Return the owner of the rows that a destination is, whatever it is; None for another destination."""
    return destination.removeprefix(_ROWS_BEGIN) if destination.startswith(_ROWS_BEGIN) else None
