"""Finds server programs from Debian packages, which are installed where they are missing and that is allowed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loom_dev.errors import BackendUnavailable

POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True, slots=True)
class Package:
    """Names a Debian package and the folders of its programs."""

    name: str
    folders: tuple[str, ...]
    """Glob patterns below `/`. Where several folders match, the last by name (the newest version) is used."""

    def program(self, name: str) -> str | None:
        """Return the full path of a program; None where it is not installed."""
        for pattern in self.folders:
            for folder in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
                if os.access(folder / name, os.X_OK):
                    return str(folder / name)
        return None

    def require(self, name: str) -> str:
        """Return the full path of a program, after installing the package if necessary.

        Raises `BackendUnavailable` with a remedy."""
        found = self.program(name) or self._install_for(name)
        if found is None:
            raise BackendUnavailable(f"The package {self.name} is installed but brought no program '{name}'.")
        return found

    def _install_for(self, name: str) -> str | None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise BackendUnavailable(
                f"'{name}' is not installed, and no Docker daemon answers. Do one of: start Docker; "
                f"run `sudo apt-get install {self.name}`; or run this as root on a Debian system, which installs it."
            )
        with _only_one_installs():
            if self.program(name) is None:
                _apt("update")
                with _no_service_starts():
                    _apt("install", "--yes", "--no-install-recommends", self.name)
        return self.program(name)


def _apt(*arguments: str) -> None:
    command = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=300", *arguments)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
        raise BackendUnavailable(f"`{' '.join(command)}` failed:\n{last}")


@contextlib.contextmanager
def _only_one_installs() -> Iterator[None]:
    with (Path(tempfile.gettempdir()) / "loom-apt.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _no_service_starts() -> Iterator[None]:
    """Keep packages that are installed during the block from starting services, as Debian provides for."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
