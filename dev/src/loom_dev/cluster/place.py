"""Keeps the folders of a cluster, and the passwords and ports that it keeps from one `make up` to the next."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from loom_dev.backends import Backend, Postgres, RabbitMQ, Redis
from loom_dev.backends.ports import is_free, reserve_port
from loom_dev.errors import SetupError

DATABASE = "loom"


@dataclass(frozen=True, slots=True)
class ClusterFolder:
    """Names the folders of the cluster of one project."""

    project: Path

    @property
    def folder(self) -> Path:
        """Return the folder of its files, which only its owner can read."""
        return self.project / ".loom" / "cluster"

    @property
    def outside(self) -> Path:
        """Return the folder for what cannot be in the project: a socket, whose path is limited in length, and the data
        of a Postgres that does not run as root and may not be able to read a folder of root's."""
        mark = hashlib.sha256(str(self.project).encode()).hexdigest()[:12]
        return Path("/var/tmp") / f"loom-cluster-{os.getuid()}-{mark}"  # noqa: S108 - `make` sees to it that it is ours

    def make(self) -> None:
        """Create both folders. Raises `SetupError` where another user has the one outside of the project."""
        self.logs.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.outside.mkdir(mode=0o711, exist_ok=True)
        if self.outside.is_symlink() or self.outside.stat().st_uid != os.getuid():
            raise SetupError(f"{self.outside} belongs to another user. Have it removed.")

    @property
    def env_file(self) -> Path:
        """Return the file that `loom run --cluster` reads. It exists while the cluster runs."""
        return self.folder / "env"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other commands. Raises `SetupError`."""
        self.make()
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def write(self, name: str, text: str) -> Path:
        """Write a file that only the owner can read."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        return path

    def replicas(self) -> dict[str, int]:
        """Return how many replicas of each service run; empty where the cluster does not run."""
        path = self.folder / "replicas.json"
        numbers: dict[str, int] = json.loads(path.read_text(encoding="utf-8")) if self.env_file.exists() else {}
        return numbers

    def servers(self, *, running: bool) -> tuple[RabbitMQ, Postgres, Redis]:
        """Return the three servers with the passwords and ports of last time. Ports that another process has taken are
        replaced, unless the servers are `running` and have them themselves."""
        path = self.folder / "servers.json"
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        options = {
            kind.name: self._options(kind, known.get(kind.name, {}), running=running)
            for kind in (RabbitMQ, Postgres, Redis)
        }
        self.write(path.name, json.dumps(options, indent=2, default=str) + "\n")
        return RabbitMQ(**options["rabbitmq"]), Postgres(**options["postgres"]), Redis(**options["redis"])

    def _options(self, kind: type[Backend], known: Mapping[str, Any], *, running: bool) -> dict[str, Any]:
        ports = dict(known.get("ports", {}))
        for name in kind.port_names:
            if name not in ports or not (running or is_free(ports[name])):
                ports[name] = reserve_port()
        home = self.outside if kind is Postgres and os.geteuid() == 0 else self.folder
        (home / kind.name).mkdir(parents=True, exist_ok=True)
        password = known.get("password") or token_hex(16)
        return {"folder": home / kind.name, "password": password, "ports": ports, "durable": True}

    def clean(self) -> None:
        """Remove all of its files."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.outside, ignore_errors=True)


def environment(place: ClusterFolder, rabbitmq: RabbitMQ, postgres: Postgres, redis: Redis) -> dict[str, str]:
    """Return the environment of a service and of `loom run --cluster`."""
    return {
        "LOOM_BUS_URL": rabbitmq.url,
        "LOOM_STATE_URL": postgres.url_of(DATABASE),
        "LOOM_JOURNAL_URL": redis.url,
        "LOOM_PAYLOADS_URL": postgres.url_of(DATABASE),
        "LOOM_PROJECT_DIR": str(place.project),
    }
