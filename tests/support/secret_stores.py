"""Serves secrets on loopback as HashiCorp Vault (KV version 2) and AWS Secrets Manager do. Both check who asks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

TOKEN = "hvs.a-token-of-vault"
AWS_KEYS = {"AWS_ACCESS_KEY_ID": "AKIALOOMTEST", "AWS_SECRET_ACCESS_KEY": "a-made-up-key", "AWS_REGION": "eu-north-1"}


@dataclass
class SecretStore:
    """Holds what a server keeps, and what it was asked."""

    secrets: dict[str, Any]
    """Vault: fields by `mount/path`. AWS: text by name."""
    asked: list[str] = field(default_factory=list)
    status: int | None = None
    """The HTTP status of every answer, where the server is to fail."""
    url: str = ""


@contextmanager
def vault(secrets: Mapping[str, Any]) -> Iterator[SecretStore]:
    """Run a Vault until the block ends. Its token is `TOKEN`."""
    store = SecretStore(dict(secrets))

    class Answers(_Quiet):
        def do_GET(self) -> None:
            mount, _, rest = self.path.removeprefix("/v1/").partition("/")
            name = f"{mount}/{rest.removeprefix('data/')}"
            store.asked.append(name)
            if self.headers.get("X-Vault-Token") != TOKEN:
                self.answer(403, {"errors": ["permission denied"]})
            elif store.status is not None:
                self.answer(store.status, {"errors": ["trouble"]})
            elif name not in store.secrets or not rest.startswith("data/"):
                self.answer(404, {"errors": []})
            else:
                self.answer(200, {"data": {"data": store.secrets[name], "metadata": {"version": 1}}})

    with _running(Answers, store):
        yield store


@contextmanager
def secrets_manager(secrets: Mapping[str, Any]) -> Iterator[SecretStore]:
    """Run an AWS Secrets Manager until the block ends. It takes requests that are signed with `AWS_KEYS`."""
    store = SecretStore(dict(secrets))

    class Answers(_Quiet):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            name = json.loads(body)["SecretId"]
            store.asked.append(name)
            if not self._signed(body):
                self.answer(400, {"__type": "UnrecognizedClientException", "message": "invalid token"})
            elif store.status is not None:
                self.answer(store.status, {"__type": "InternalServiceError", "message": "trouble"})
            elif name not in store.secrets:
                self.answer(400, {"__type": "ResourceNotFoundException", "message": "none"})
            else:
                self.answer(200, {"Name": name, "SecretString": store.secrets[name]})

        def _signed(self, body: bytes) -> bool:
            """Tell whether the request has the signature that it should have."""
            sent = self.headers["Authorization"]
            names = sent.partition("SignedHeaders=")[2].partition(",")[0].split(";")
            again = AWSRequest("POST", f"{store.url}/", {name: self.headers[name] for name in names}, body)
            again.context["timestamp"] = self.headers["X-Amz-Date"]
            keys = Credentials(AWS_KEYS["AWS_ACCESS_KEY_ID"], AWS_KEYS["AWS_SECRET_ACCESS_KEY"])
            signer = SigV4Auth(keys, "secretsmanager", AWS_KEYS["AWS_REGION"])
            whole = signer.string_to_sign(again, signer.canonical_request(again))
            return bool(sent.rpartition("Signature=")[2] == signer.signature(whole, again))

    with _running(Answers, store):
        yield store


class _Quiet(BaseHTTPRequestHandler):
    def answer(self, status: int, document: Mapping[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Write nothing to stderr."""


@contextmanager
def _running(answers: type[BaseHTTPRequestHandler], store: SecretStore) -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), answers)
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
