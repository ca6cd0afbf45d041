"""Implements `python -m loom_dev.cluster up | down | clean`, which `make up`, `make down` and `make clean` call."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from loom_common.domain.values.urls import redacted
from loom_dev.backends.container import docker_answers
from loom_dev.cluster.compose import ComposeCluster
from loom_dev.cluster.local import LocalCluster
from loom_dev.cluster.place import ClusterFolder
from loom_dev.cluster.services import replicas
from loom_dev.errors import SetupError


def up(place: ClusterFolder) -> None:
    """Start the cluster and print its addresses."""
    began, wanted = time.monotonic(), replicas(os.environ, place.replicas())
    cluster = ComposeCluster(place) if docker_answers() else LocalCluster(place)
    values = cluster.up(wanted)
    place.write("replicas.json", json.dumps(wanted))
    place.write("env", "".join(f"{name}={value}\n" for name, value in values.items()))
    print(_told(place, values, wanted, time.monotonic() - began))


def _told(place: ClusterFolder, values: Mapping[str, str], wanted: Mapping[str, int], seconds: float) -> str:
    where = {
        "RabbitMQ": redacted(values["LOOM_BUS_URL"]),
        "Postgres": redacted(values["LOOM_STATE_URL"]),
        "Redis": redacted(values["LOOM_JOURNAL_URL"]),
        "Services": ", ".join(f"{name} x{count}" if count > 1 else name for name, count in wanted.items()),
        "Logs": str(place.logs.relative_to(place.project)),
        "Passwords": str(place.env_file.relative_to(place.project)),
    }
    lines = "\n".join(f"  {name:<10} {text}" for name, text in where.items())
    return (
        f"The cluster is up, after {seconds:.1f} s.\n{lines}\n\nRun on it: loom run FILE --cluster    End it: make down"
    )


def down(place: ClusterFolder) -> None:
    """End what `up` started."""
    began = time.monotonic()
    place.env_file.unlink(missing_ok=True)
    local, containers = LocalCluster(place).down(), docker_answers() and ComposeCluster(place).down()
    print(
        f"The cluster is down, after {time.monotonic() - began:.1f} s." if local or containers else "No cluster is up."
    )


def clean(place: ClusterFolder) -> None:
    """End the cluster and remove its data."""
    down(place)
    if docker_answers():
        ComposeCluster(place).clean()
    place.clean()


COMMANDS = {"up": up, "down": down, "clean": clean}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print(f"usage: python -m loom_dev.cluster {'|'.join(COMMANDS)}", file=sys.stderr)
        return 2
    place = ClusterFolder(Path.cwd())
    try:
        with place.locked():
            COMMANDS[arguments[0]](place)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        if arguments == ["up"]:
            print("What did start is up; `make down` ends it.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
