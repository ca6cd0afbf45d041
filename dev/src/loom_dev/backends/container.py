"""Runs a backend in a container, where a Docker daemon answers."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loom_dev.errors import BackendUnavailable

if TYPE_CHECKING:
    from docker.models.containers import Container


@dataclass(frozen=True, slots=True)
class Image:
    """Says what to run: an image, its settings, and its port mapping."""

    name: str
    ports: Mapping[int, int]
    """Holds the port on 127.0.0.1 for each port in the container."""
    environment: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()


@functools.cache
def docker_answers() -> bool:
    """Say whether a Docker daemon answers its client within 10 s. It is asked once."""
    client = shutil.which("docker")
    if client is None:
        return False
    try:
        asked = subprocess.run([client, "info"], capture_output=True, timeout=10, check=False)
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


class ContainerHost:
    """Runs one container. The reaper that testcontainers starts removes it when its owner has ended."""

    def __init__(self, image: Image) -> None:
        from testcontainers.core.container import DockerContainer

        self._container = DockerContainer(image.name)
        self._container.with_kwargs(
            ports={f"{inner}/tcp": ("127.0.0.1", outer) for inner, outer in image.ports.items()}
        )
        self._container.with_command(list(image.command))
        for name, value in image.environment.items():
            self._container.with_env(name, value)
        self._started = False

    @property
    def _docker(self) -> Container:
        container: Container = self._container.get_wrapped_container()
        return container

    @property
    def running(self) -> bool:
        if not self._started:
            return False
        self._docker.reload()
        return bool(self._docker.status == "running")

    @property
    def pid(self) -> int:
        """Return the server's pid on the daemon's machine; 0 while it does not run."""
        return int(self._docker.attrs["State"]["Pid"]) if self.running else 0

    def start(self) -> None:
        if self._started:
            self._docker.start()
        else:
            self._container.start()
            self._started = True

    def stop(self) -> None:
        if self.running:
            self._docker.stop(timeout=20)

    def kill(self) -> None:
        if self.running:
            self._docker.kill()

    def remove(self) -> None:
        if self._started:
            self._container.stop(force=True, delete_volume=True)
            self._started = False

    def run(self, *command: str) -> str:
        """Run a command in the container and return its output. Raises `BackendUnavailable` where it failed."""
        code, output = self._docker.exec_run(list(command))
        text = bytes(output).decode(errors="replace")
        if code:
            raise BackendUnavailable(f"`{' '.join(command)}` failed in the container: {text.strip()}")
        return text

    def log(self) -> str:
        return bytes(self._docker.logs(tail=15)).decode(errors="replace") if self._started else ""
