"""Describes a server program as data: its command, its user, and the signals that end it."""

from __future__ import annotations

import pwd
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Program:
    """Describes a server that stays in the foreground, so that the process that starts it owns it."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    """Variables that are added to its owner's environment."""
    folder: Path
    user: pwd.struct_passwd | None = None
    """The user to run as; None for the current one."""
    stop_signal: signal.Signals = signal.SIGTERM
    """The signal that shuts it down in order."""
    kill_signal: signal.Signals = signal.SIGKILL
    """The signal that ends it at once, as in a crash."""

    @property
    def log(self) -> Path:
        """Return the file of its output."""
        return self.folder / f"{self.name}.log"
