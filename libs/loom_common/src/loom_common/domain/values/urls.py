"""Reads locations as users write them, and removes secrets from them."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

_USERINFO = re.compile(r"(?<=://)(?P<user>(?:\$\{[^}]*\}|[^/@:\s])*)(?P<password>:(?:\$\{[^}]*\}|[^@/\s])*)?@")
_SECRET_QUERY = re.compile(r"(?i)([?&](?:[^=&]*(?:password|passwd|passphrase|secret|token|key)[^=&]*)=)([^&]+)")
_PASSWORD_QUERY = re.compile(
    r"(?i)[?&][^=&]*(?:password|passwd|passphrase|secret|token|account_key|sas_key|private_key(?==))[^=&]*=(?!REFERENCE)[^&]"
)
_REFERENCE = re.compile(r"\$\{[^}]+\}")


def clear_text_password(location: str) -> bool:
    """Say whether a URL holds a password that is not a `${reference}`."""
    bare = _REFERENCE.sub("REFERENCE", location)
    match = _USERINFO.search(bare)
    if _PASSWORD_QUERY.search(bare):
        return True
    return bool(match and match["password"] and match["password"] not in (":", ":REFERENCE"))


def redacted(location: str) -> str:
    """Return the location without user, password and tokens, for logs, errors and reports."""
    shown = _USERINFO.sub("", location)
    return _SECRET_QUERY.sub(r"\1***", shown)


def scheme_of(location: str) -> str:
    """Return `postgres` for `postgres://...`; for a path its last suffix, such as `csv` for `data/reviews.csv`."""
    if "://" in location:
        return location.split("://", 1)[0].lower()
    return location.rsplit(".", 1)[-1].lower() if "." in location.rsplit("/", 1)[-1] else ""


def query_of(location: str) -> dict[str, str]:
    """Return the URL's query parameters: `{"table": "scores"}`."""
    return dict(parse_qsl(location.split("?", 1)[1])) if "?" in location else {}
