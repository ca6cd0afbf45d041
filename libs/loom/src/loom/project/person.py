"""Names whoever runs this process, for the books."""

from __future__ import annotations

import getpass


def person() -> str:
    """Return the name of the operating system's user, or `unknown` where it has none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
