"""Finds secrets in environment variables and, for development, in the file `.env` of the project folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

FILE_NAME = ".env"


class EnvProvider:
    """Finds secrets in environment variables. With a prefix, `${KEY}` is read from `<PREFIX>KEY`, and otherwise from
    `KEY`. What the environment does not have is looked for in the file, which never takes the place of a variable that
    is set."""

    remedy = "Set the environment variable {name}; in a cluster, where the workers run."

    def __init__(self, environ: Mapping[str, str] | None = None, prefix: str = "", file: Path | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._prefix = prefix
        self._file = None if file is None else str(file)
        if file is not None:
            self.remedy = self.remedy.replace(";", " or write it into the project's .env;")
        self._read: tuple[tuple[int, int], Mapping[str, str | None]] | None = None

    def get(self, name: str) -> str | None:
        names = (f"{self._prefix}{name}", name) if self._prefix else (name,)
        for each in names:
            if given := self._environ.get(each):
                return given
        written = self._written()
        for each in names:
            if given := written.get(each):
                return given
        return None

    def _written(self) -> Mapping[str, str | None]:
        """Return the variables of the file, which is read anew when it has changed."""
        try:
            found = os.stat(self._file) if self._file is not None else None  # noqa: PTH116 - each call of a model comes here
        except OSError:
            found = None
        if found is None or self._file is None:
            return {}
        version = (found.st_mtime_ns, found.st_size)
        if self._read is None or self._read[0] != version:
            # Most projects have no such file.
            from dotenv import dotenv_values

            self._read = version, dotenv_values(self._file, interpolate=False)
        return self._read[1]
