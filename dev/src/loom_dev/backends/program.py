"""One server program as data: what is run, as whom, and how it is told to end."""

from __future__ import annotations

import pwd
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Program:
    """A server that stays in the foreground, so that whoever starts it owns it: a test run or a supervisor."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    """What it needs beside its owner's environment."""
    folder: Path
    user: pwd.struct_passwd | None = None
    """Whom to become; None to stay who one is."""
    stop_signal: signal.Signals = signal.SIGTERM
    """Ends it in order."""
    kill_signal: signal.Signals = signal.SIGKILL
    """Ends it at once, as a crash would."""

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.folder / f"{self.name}.log"
