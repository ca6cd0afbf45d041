"""Runs a private RabbitMQ server, with its management and metrics plugins."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any, Self
from uuid import uuid4

from loom_dev.backends.backend import Backend
from loom_dev.backends.container import ContainerHost, Image
from loom_dev.backends.debian import Package
from loom_dev.backends.ports import FIRST, LAST
from loom_dev.backends.program import Program
from loom_dev.errors import BackendUnavailable

PACKAGE = Package("rabbitmq-server", ("/usr/lib/rabbitmq/bin", "/usr/lib/rabbitmq/lib/*/sbin"))
USER = "loom"
NODE = "loom@localhost"
LOOPBACK_DISTRIBUTION = "-kernel inet_dist_use_interface {127,0,0,1}"
CALM_SCHEDULERS = "+sbwt none +sbwtdcpu none +sbwtdio none"
"""Keeps idle Erlang schedulers from spinning, which they do by default and which takes CPU from what is tested."""
PATIENT_HANDSHAKE = "-rabbit handshake_timeout 120000"
"""The number of milliseconds that a client has to open a connection: with the default of 10 s, services that start
together on a busy machine are cut off."""
SHORT_LOGS = "-rabbit quorum_snapshot_interval 256"
"""Has a quorum queue forget what was acknowledged after 256 entries of its log, as docker-compose.yml does: by default
it keeps 8,192, with the bodies, and writes them to the disk a second time whenever the broker's log is full."""
ARGUMENTS = f"{CALM_SCHEDULERS} {PATIENT_HANDSHAKE} {SHORT_LOGS}"
"""Holds the arguments of its Erlang, wherever it runs."""


class RabbitMQ(Backend):
    """Runs a RabbitMQ server."""

    name = "rabbitmq"
    port_names = ("amqp", "management", "metrics", "distribution", "epmd")
    _starts = 0

    @property
    def url(self) -> str:
        """Return the AMQP URL of the default virtual host."""
        return self._url("%2F")

    def _url(self, vhost: str) -> str:
        return f"amqp://{USER}:{self.password}@127.0.0.1:{self.port}/{vhost}"

    @property
    def management_url(self) -> str:
        """Return the address of the HTTP API and web page, without user and password."""
        return f"http://127.0.0.1:{self.ports['management']}"

    def _environment(self) -> dict[str, str]:
        return {
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_DIST_PORT": str(self.ports["distribution"]),
            "RABBITMQ_CTL_DIST_PORT_MIN": str(FIRST),
            "RABBITMQ_CTL_DIST_PORT_MAX": str(LAST),
            "RABBITMQ_CTL_ERL_ARGS": LOOPBACK_DISTRIBUTION,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{LOOPBACK_DISTRIBUTION} {ARGUMENTS}",
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RUNNING_UNDER_SYSTEMD": "true",  # its start script becomes the server, instead of waiting beside it
        }

    def _configure(self) -> None:
        configuration = self.folder / "rabbitmq.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.ports['management']}\n"
            f"prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {self.ports['metrics']}\n"
            f"default_user = {USER}\ndefault_pass = {self.password}\n"
            "log.console = true\nlog.console.level = warning\n"
        )
        (self.folder / "enabled_plugins").write_text("[rabbitmq_management,rabbitmq_prometheus].\n")
        (self.folder / "none.conf").touch()

    def programs(self) -> Sequence[Program]:
        server, environment = PACKAGE.require("rabbitmq-server"), self._environment()
        epmd = shutil.which("epmd")
        if epmd is None:
            raise BackendUnavailable("RabbitMQ is installed but Erlang's 'epmd' is not on the PATH.")
        self._configure()
        return [  # epmd is started first, or else RabbitMQ starts one that outlives it
            Program(
                "epmd", (epmd, "-port", str(self.ports["epmd"]), "-address", "127.0.0.1"), environment, self.folder
            ),
            Program(self.name, (server,), environment, self.folder),
        ]

    def image(self) -> Image:
        return Image(
            "rabbitmq:4-management",
            {5672: self.port, 15672: self.ports["management"], 15692: self.ports["metrics"]},
            {
                "RABBITMQ_DEFAULT_USER": USER,
                "RABBITMQ_DEFAULT_PASS": self.password,
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ARGUMENTS,
            },
        )

    def is_ready(self) -> bool:
        """Say whether an AMQP 0-9-1 header is answered with `connection.start` (a method frame)."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def ctl(self, *arguments: str) -> str:
        """Return the output of `rabbitmqctl`, e.g. `ctl("close_all_connections", "test")`, which takes about a second.

        Raises `BackendUnavailable` where it failed."""
        if isinstance(self._host, ContainerHost):
            return self._host.run("rabbitmqctl", "--quiet", *arguments)
        command = [PACKAGE.require("rabbitmqctl"), "--quiet", *arguments]
        done = subprocess.run(
            command, env={**os.environ, **self._environment()}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise BackendUnavailable(f"`rabbitmqctl {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call the management API; `path` begins after `/api`. Raises `urllib.error.HTTPError`."""
        token = base64.b64encode(f"{USER}:{self.password}".encode()).decode()
        request = urllib.request.Request(
            f"{self.management_url}/api{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Basic {token}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            content = response.read()
        return json.loads(content) if content else None

    def start(self) -> Self:
        super().start()
        self._starts += 1
        return self

    def wipe(self) -> None:
        """Kill the broker, delete its data, and start it again, as after the loss of its disk."""
        self.kill()
        if isinstance(self._host, ContainerHost):
            self._host.remove()
        shutil.rmtree(self.folder / "mnesia", ignore_errors=True)
        self.start()

    @contextlib.contextmanager
    def vhost(self) -> Iterator[str]:
        """Create an empty virtual host and return its AMQP URL; it is deleted after the block, with all its
        connections.

        One that existed during a restart is kept: 3.10 restarts the dead-letter workers of its queues, and where a
        queue is deleted while its worker starts, their supervisor fails, and no such queue can be declared any more."""
        name, starts = f"test-{uuid4().hex}", self._starts
        self.api("PUT", f"/vhosts/{name}", {})
        self.api("PUT", f"/permissions/{name}/{USER}", {"configure": ".*", "write": ".*", "read": ".*"})
        try:
            yield self._url(name)
        finally:
            if self.running and self._starts == starts:
                self.api("DELETE", f"/vhosts/{name}")
