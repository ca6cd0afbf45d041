"""Plants a secret in every place that a reference can name, runs pipelines that use them all, and looks for the secrets
in every file, table and output."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from support.all_written import everything
from support.projects import ai, project
from support.secret_stores import AWS_KEYS, TOKEN, secrets_manager, vault

SECRETS = {each: f"pl4nted/{each}+v4lue" for each in ("web", "key", "file", "team", "dotenv", "plugin")}
CSV = "id,review\n1,fine\n2,bad\n"
PLUGIN = 'class Safe:\n    remedy = ""\n    def get(self, name):\n        return "' + SECRETS["plugin"] + '"\n'


class Service:
    """Gives the records to who has the password, and answers as a model to who has every key."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.refusing: int | None = None
        self.credentials: list[str] = []
        """The keys that the last question came with."""


@pytest.fixture
def service() -> Iterator[Service]:
    state = Service()
    expected = "Basic " + base64.b64encode(f"me:{SECRETS['web']}".encode()).decode()

    class Answers(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            if not self.path.endswith(".csv"):
                self._send(405, b"")
                return
            self._send(200 if self.headers.get("Authorization") == expected else 401, CSV.encode())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            names = ("Authorization", "X-File", "X-Team", "X-Dotenv", "X-Plugin")
            state.credentials = [self.headers.get(name, "") for name in names]
            if state.refusing is not None:
                told = {"error": {"message": f"these were refused: {' '.join(state.credentials)}"}}
                self._send(state.refusing, json.dumps(told).encode())
                return
            answer = {"mood": "good", "confidence": 1}
            choice = {"index": 0, "message": {"role": "assistant", "content": json.dumps(answer)}}
            usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
            self._send(200, json.dumps({"choices": [choice | {"finish_reason": "stop"}], "usage": usage}).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if self.command == "POST" else "text/csv")
            self.send_header("Content-Length", str(len(body)))
            if state.refusing is not None and self.command == "POST":
                self.send_header("X-Refused", " ".join(state.credentials))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write nothing to stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def planted(tmp_path, tmp_path_factory, monkeypatch, service) -> Iterator[Path]:
    """Provide a pipeline that needs a secret of each kind; its folder is `tmp_path`."""
    mounted = tmp_path_factory.mktemp("mounted") / "key"
    mounted.write_text(SECRETS["file"])
    monkeypatch.setenv("LOOM_ALLOWED_PATHS", str(mounted.parent))
    (tmp_path / ".env").write_text(f"DOTENV_KEY={SECRETS['dotenv']}\n")
    (tmp_path / "loom.yaml").write_text("credentials: {prefix: LOOM_}\n")
    outside = tmp_path_factory.mktemp("plugin")
    (outside / "planted_safe.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(outside))
    monkeypatch.setenv("LOOM_TEAM_KEY", SECRETS["team"])
    stored = {"prod/web": json.dumps({"user": "me", "password": SECRETS["web"]})}
    with vault({"secret/model": {"key": SECRETS["key"]}}) as kv, secrets_manager(stored) as aws:
        more = {"AWS_ENDPOINT_URL_SECRETS_MANAGER": aws.url, "AWS_EC2_METADATA_DISABLED": "true"}
        for name, value in {**AWS_KEYS, **more, "VAULT_ADDR": kv.url, "VAULT_TOKEN": TOKEN}.items():
            monkeypatch.setenv(name, value)
        address = f"127.0.0.1:{service.port}"
        transform = ai(
            f"http://{address}/v1",
            api_key="${vault:secret/model#key}",
            headers={
                "X-File": f"${{file:{mounted}}}",
                "X-Team": "${TEAM_KEY}",
                "X-Dotenv": "${env:DOTENV_KEY}",
                "X-Plugin": "${planted_safe:Safe:key}",
            },
            cache={"enabled": False},
        )
        made = project(tmp_path, 0, destination="out.jsonl", transform=transform)
        source = "http://${aws:prod/web#user}:${aws:prod/web#password}@" + address + "/reviews.csv"
        made.say(extract={"source": source, "key": "id"}, timeouts={"run": "1h"})
        yield made.pipeline


def test_a_planted_secret_appears_nowhere(loom, planted, service, tmp_path, caplog, monkeypatch):
    said: list[str] = []

    def typed(*arguments: str) -> Any:
        ended = loom(*arguments)
        said.extend((ended.out, ended.err))
        return ended

    assert typed("validate", str(planted), "--connect").code == 0
    assert typed("run", str(planted), "--verbose").code == 0
    assert service.credentials == [
        f"Bearer {SECRETS['key']}",
        *(SECRETS[k] for k in ("file", "team", "dotenv", "plugin")),
    ]
    for status in (401, 400):
        service.refusing = status
        assert typed("run", str(planted), "--verbose").code != 0
    service.refusing = 500  # this may pass, and is asked again until the run's time is over
    monkeypatch.setenv("LOOM_MODELS_ATTEMPTS", "1")
    planted.write_text(planted.read_text().replace("1h", "2s"))
    troubled = typed("run", str(planted), "--verbose")
    assert troubled.code == 1
    assert "500" in troubled.err
    runs = json.loads(typed("history", "reviews", "--format", "json").out)
    for run in runs if isinstance(runs, list) else runs["runs"]:
        run_id = run.get("id") or run["run_id"]
        for command in (("status", run_id), ("status", run_id, "--format", "json")):
            typed(*command)
    typed("quarantine", "list", "--format", "json")
    found = [name for name, content in everything(tmp_path, said, caplog.text) for each in forms() if each in content]
    assert not found


def forms() -> list[bytes]:
    """Return the secrets as they may be written."""
    written = [each for secret in SECRETS.values() for each in (secret, quote(secret, safe=""))]
    basic = base64.b64encode(f"me:{SECRETS['web']}".encode()).decode()
    return [each.encode() for each in (*written, *(json.dumps(each)[1:-1] for each in written), basic, TOKEN)]


def test_a_credential_that_is_missing_is_told_with_its_place(loom, planted, tmp_path):
    (tmp_path / ".env").unlink()
    ended = loom("run", str(planted))
    assert ended.code == 2
    number = next(n for n, line in enumerate(planted.read_text().splitlines(), 1) if "DOTENV_KEY" in line)
    assert f"{planted.name}:{number}:" in ended.err
    assert "The credential ${env:DOTENV_KEY} is not set. Set the environment variable DOTENV_KEY" in ended.err
    assert "Traceback" not in ended.err
