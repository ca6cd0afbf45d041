"""Runs a private SeaweedFS server, which speaks the protocol of S3 and checks signatures."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from loom_dev.backends.backend import Backend
from loom_dev.backends.container import Image
from loom_dev.backends.program import Program
from loom_dev.errors import BackendUnavailable

KEY = "loom"
BUCKET = "tests"
READER = "reader"
"""The name and the key of a user who may read, and not write. Its secret is the server's password, too."""


class SeaweedFS(Backend):
    """Runs a SeaweedFS server. A bucket is made by the first object that is written into it, and takes some volumes of
    the server's for itself: tests share one."""

    name = "seaweedfs"
    port_names = ("s3", "master", "volume", "filer", "s3_grpc", "master_grpc", "volume_grpc", "filer_grpc")

    @property
    def url(self) -> str:
        """Return the endpoint. Keys are not part of it."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return variables that locations refer to: the endpoint, the keys of its owner, and a folder of the caller's
        own in the bucket that tests share."""
        return {"S3_FOLDER": uuid4().hex, "S3_ENDPOINT": self.url, "S3_KEY": KEY, "S3_SECRET": self.password}

    def programs(self) -> Sequence[Program]:
        beside = Path(sys.prefix, "bin", "weed")
        found = str(beside) if beside.exists() else shutil.which("weed")
        if found is None:
            raise BackendUnavailable("'weed' is not installed. Run `make dev`, which brings it.")
        return [Program(self.name, (found, "server", *self._arguments()), {"HOME": str(self.folder)}, self.folder)]

    def image(self) -> Image:
        inside = {8333: self.port, 9333: self.ports["master"]}
        server = "exec weed server -dir=/data -filer -s3 -s3.config=/users.json"
        entry = f"echo '{json.dumps(self._users())}' >/users.json && {server}"
        return Image("chrislusf/seaweedfs:4.04", inside, command=("sh", "-c", entry))

    def is_ready(self) -> bool:
        """Say whether the master assigns places for objects, and whether the protocol of S3 is spoken."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['master']}/dir/assign", timeout=2) as answer:
                assigned = "fid" in json.load(answer)
            with urllib.request.urlopen(f"{self.url}/status", timeout=2):
                return assigned
        except OSError:
            return False

    def _users(self) -> object:
        def user(name: str, *actions: str) -> object:
            return {
                "name": name,
                "credentials": [{"accessKey": name, "secretKey": self.password}],
                "actions": actions,
            }

        return {"identities": [user(KEY, "Admin", "Read", "Write", "List"), user(READER, "Read", "List")]}

    def _arguments(self) -> list[str]:
        users, data = self.folder / "users.json", self.folder / "data"
        data.mkdir(exist_ok=True)
        users.touch(mode=0o600)
        users.write_text(json.dumps(self._users()))
        ports = {
            f"{part}.port{'.grpc' if grpc else ''}": self.ports[f"{part}_grpc" if grpc else part]
            for part in ("s3", "master", "volume", "filer")
            for grpc in (False, True)
        }
        settings: dict[str, object] = {
            **ports,
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "dir": data,
            "filer": "true",
            "s3": "true",
            "s3.config": users,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.localSocket": self.folder / "s3.sock",
            "filer.localSocket": self.folder / "filer.sock",
            "master.volumeSizeLimitMB": 64,
            "volume.max": 30,
            "volume.minFreeSpace": 0,
        }
        return [f"-{name}={value}" for name, value in settings.items()]
