"""Runs the cluster in containers, by docker-compose.yml."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Mapping

from loom_dev.backends.backend import READY_SECONDS
from loom_dev.cluster.place import ClusterFolder, environment
from loom_dev.cluster.services import SERVICES, missing
from loom_dev.errors import SetupError
from loom_dev.waiting import until


class ComposeCluster:
    """Runs the three servers and six services by Docker Compose."""

    def __init__(self, place: ClusterFolder) -> None:
        self._place = place
        self._variables = place.folder / "compose.env"

    def up(self, replicas: Mapping[str, int]) -> dict[str, str]:
        """Build the image, start what does not run yet, and wait until everything serves. Raises `SetupError`."""
        rabbitmq, postgres, redis = self._place.servers(running=self._variables.exists())
        variables = {
            "LOOM_RABBITMQ_PASSWORD": rabbitmq.password,
            "LOOM_POSTGRES_PASSWORD": postgres.password,
            "LOOM_REDIS_PASSWORD": redis.password,
            "LOOM_RABBITMQ_PORT": str(rabbitmq.port),
            "LOOM_MANAGEMENT_PORT": str(rabbitmq.ports["management"]),
            "LOOM_POSTGRES_PORT": str(postgres.port),
            "LOOM_REDIS_PORT": str(redis.port),
            "LOOM_PROJECT": str(self._place.project),
            "LOOM_UID": str(os.getuid()),
            "LOOM_GID": str(os.getgid()),
            **{service.variable: str(replicas[service.name]) for service in SERVICES},
        }
        self._place.write("compose.env", "".join(f"{name}={value}\n" for name, value in variables.items()))
        self._compose("up", "--detach", "--build", "--remove-orphans")
        values = environment(self._place, rabbitmq, postgres, redis)
        if not until(lambda: not asyncio.run(missing(values["LOOM_BUS_URL"], replicas)), READY_SECONDS):
            late = ", ".join(asyncio.run(missing(values["LOOM_BUS_URL"], replicas)))
            raise SetupError(f"Do not serve: {late}. See `docker compose logs`.")
        return values

    def down(self) -> bool:
        """End everything that `up` started. Returns False where nothing ran."""
        if not self._variables.exists():
            return False
        self._compose("down", "--timeout", "40")
        return True

    def clean(self) -> None:
        """Remove the cluster's data."""
        if self._variables.exists():
            self._compose("down", "--volumes")

    def _compose(self, *arguments: str) -> None:
        command = ["docker", "compose", "--env-file", str(self._variables), *arguments]
        done = subprocess.run(command, cwd=self._place.project, check=False)
        if done.returncode:
            raise SetupError(f"`docker compose {' '.join(arguments)}` failed; its words stand above.")
