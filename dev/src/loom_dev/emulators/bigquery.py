"""Runs a private emulator of BigQuery: bqemulator, which speaks its REST API and keeps the data in DuckDB."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from loom_dev.backends.backend import Backend
from loom_dev.backends.container import Image
from loom_dev.backends.program import Program
from loom_dev.errors import BackendUnavailable

EMULATOR = Path(__file__).with_name("bigquery_program.py")
PROJECT = "tests"


class BigQuery(Backend):
    """Runs the emulator with the Python of the environment that `make bigquery` builds for it."""

    name = "bigquery"
    port_names = ("rest", "grpc")

    @property
    def url(self) -> str:
        """Return the endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def dataset(self) -> str:
        """Return the URL of a new dataset that nobody else uses."""
        name = f"d{uuid4().hex}"
        made = {"datasetReference": {"projectId": PROJECT, "datasetId": name}}
        request = urllib.request.Request(
            f"{self.url}/bigquery/v2/projects/{PROJECT}/datasets",
            json.dumps(made).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30):
            return f"bigquery://{PROJECT}/{name}?endpoint={self.url}"

    def programs(self) -> Sequence[Program]:
        python = os.environ.get("LOOM_BIGQUERY")
        if python is None:
            raise BackendUnavailable("LOOM_BIGQUERY names no Python that has bqemulator. Run `make bigquery`.")
        ports = ("--rest-port", str(self.ports["rest"]), "--grpc-port", str(self.ports["grpc"]))
        command = (python, "-I", str(EMULATOR), "start", *ports, "--ephemeral", "--log-level", "error")
        return [Program(self.name, command, {"HOME": str(self.folder), "PATH": os.environ["PATH"]}, self.folder)]

    def image(self) -> Image | None:
        return None

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/bigquery/v2/projects/{PROJECT}/datasets", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
