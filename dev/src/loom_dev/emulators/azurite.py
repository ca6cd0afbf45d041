"""Runs a private Azurite server, which speaks the protocol of Azure Blob Storage and checks signatures."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Sequence
from email.utils import formatdate
from uuid import uuid4

from loom_dev.backends.backend import Backend
from loom_dev.backends.container import Image
from loom_dev.backends.program import Program
from loom_dev.errors import BackendUnavailable

ACCOUNT = "loom"
CONTAINER = "tests"
_VERSION = "2021-08-06"


class Azurite(Backend):
    """Runs an Azurite server for blobs. Its account has one container, which tests share."""

    name = "azurite"
    port_names = ("blob",)

    @property
    def url(self) -> str:
        """Return the endpoint. Its account is the first part of the path; keys are not part of it."""
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def key(self) -> str:
        """Return the key of the account."""
        return base64.b64encode(self.password.encode()).decode()

    def environment(self) -> dict[str, str]:
        """Return variables that locations refer to: the endpoint, the account, its key, and a folder of the caller's
        own in the container that tests share."""
        return {
            "AZURE_FOLDER": uuid4().hex,
            "AZURE_ENDPOINT": self.url,
            "AZURE_ACCOUNT": ACCOUNT,
            "AZURE_KEY": self.key,
        }

    def programs(self) -> Sequence[Program]:
        found = shutil.which("azurite-blob")
        if found is None:
            raise BackendUnavailable("'azurite-blob' is not installed. Run `make azure`, which brings it.")
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        command = (found, "--blobHost", "127.0.0.1", "--blobPort", str(self.port), "--location", str(data))
        quiet = ("--silent", "--disableTelemetry", "--skipApiVersionCheck")
        environment = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.key}", "PATH": os.environ["PATH"]}
        return [Program(self.name, (*command, *quiet), environment, self.folder)]

    def image(self) -> Image | None:
        return None

    def is_ready(self) -> bool:
        """Say whether it answers and the container is there; make it the first time."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2):
                pass
            with urllib.request.urlopen(self._making_the_container(), timeout=5) as answer:
                return bool(answer.status == 201)
        except urllib.error.HTTPError as error:
            return error.code == 409  # it is there
        except OSError:
            return False

    def _making_the_container(self) -> urllib.request.Request:
        """Return the request that makes the container, signed with the account's key."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _VERSION}
        named = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
        resource = f"/{ACCOUNT}/{ACCOUNT}/{CONTAINER}\nrestype:container"
        text = f"PUT{chr(10) * 12}{named}{resource}"
        signed = hmac.new(self.password.encode(), text.encode(), hashlib.sha256).digest()
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(signed).decode()}"
        url = f"{self.url}/{CONTAINER}?restype=container"
        return urllib.request.Request(url, method="PUT", headers={**headers, "Content-Length": "0"})
