"""Checks what an editor shows for the files that `loom init` writes, by asking the YAML language server from npm.

`make editor-check` runs it. It needs node and npm, and downloads the server; the tests do without it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from loom_dev.waiting import patience

PACKAGE = "yaml-language-server@2.0.0"
_TYPED = """extract:
  source: data.csv
  bat
transform:
  type: ai
  promt: x
load:
  destination: out.csv
  mode: upser
"""


class Editor:
    """Speaks with a language server over its standard streams."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._asked = 0

    async def ask(self, method: str, params: dict[str, Any]) -> Any:
        """Return the answer to a request. What the server asks meanwhile is answered with nothing."""
        self._asked += 1
        asked = self._asked
        self._send({"id": asked, "method": method, "params": params})
        while (message := await self._received()).get("id") != asked or "method" in message:
            self._answer(message)
        return message.get("result")

    def tell(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification to the language server, which answers none."""
        self._send({"method": method, "params": params})

    async def told(self, method: str) -> dict[str, Any]:
        """Return the parameters of the next notification of this method."""
        while (message := await self._received()).get("method") != method:
            self._answer(message)
        params: dict[str, Any] = message["params"]
        return params

    def _answer(self, message: dict[str, Any]) -> None:
        if "id" in message and "method" in message:
            wanted = message.get("params", {}).get("items", ())
            self._send({"id": message["id"], "result": [None] * len(wanted) if wanted else None})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def _received(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        length = 0
        while line := (await self._process.stdout.readline()).strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        message: dict[str, Any] = json.loads(await self._process.stdout.readexactly(length))
        return message


async def check(server: Path, project: Path) -> list[str]:
    """Return what an editor does not show as it is meant to."""
    process = await asyncio.create_subprocess_exec(
        str(server), "--stdio", stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=project
    )
    wrong = []
    try:
        editor = Editor(process)
        folders = [{"uri": project.as_uri(), "name": "project"}]
        await editor.ask(
            "initialize",
            {"processId": None, "rootUri": project.as_uri(), "capabilities": {}, "workspaceFolders": folders},
        )
        editor.tell("initialized", {})
        whole = await _mistakes(editor, project / "pipeline.yaml", (project / "pipeline.yaml").read_text())
        whole += await _mistakes(editor, project / "loom.yaml", (project / "loom.yaml").read_text())
        wrong += [f"marked in a file that is in order: {each}" for each in whole]
        first = (project / "pipeline.yaml").read_text().splitlines()[0]
        file = project / "typed.yaml"
        marked = await _mistakes(editor, file, f"{first}\nname: typed\n{_TYPED}")
        wrong += [f"not marked: {word}" for word in ("promt", "upser") if not any(word in each for each in marked)]
        offered = await _offered(editor, file, line=4, character=5)
        wrong += [] if "batch_size" in offered else [f"not offered after `bat`: batch_size, but {sorted(offered)[:9]}"]
        modes = await _offered(editor, file, line=10, character=8)
        wrong += [f"not offered for mode: {each}" for each in ("append", "upsert", "replace") if each not in modes]
    finally:
        process.terminate()
        await process.wait()
    return wrong


async def _mistakes(editor: Editor, file: Path, text: str) -> list[str]:
    """Open a file, and return the words that the server marks, each with what it says."""
    item = {"uri": file.as_uri(), "languageId": "yaml", "version": 1, "text": text}
    editor.tell("textDocument/didOpen", {"textDocument": item})
    lines = text.splitlines()
    while (told := await editor.told("textDocument/publishDiagnostics"))["uri"] != file.as_uri():
        continue
    return [f"{lines[each['range']['start']['line']].strip()}: {each['message']}" for each in told["diagnostics"]]


async def _offered(editor: Editor, file: Path, *, line: int, character: int) -> set[str]:
    place = {"textDocument": {"uri": file.as_uri()}, "position": {"line": line, "character": character}}
    found = await editor.ask("textDocument/completion", place)
    return {each["label"] for each in (found["items"] if isinstance(found, dict) else found or ())}


def main() -> None:
    """Make a project, ask the server about it, and say what is wrong. Ends with 1 where something is."""
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is not on the PATH: the language server comes from it.")
    with tempfile.TemporaryDirectory(prefix="loom-editor-") as folder:
        place = Path(folder).resolve()
        limit = patience(240)
        subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--silent", PACKAGE], cwd=place, check=True, timeout=limit
        )
        subprocess.run([sys.executable, "-m", "loom", "init", "project"], cwd=place, check=True, timeout=patience(60))
        server = place / "node_modules" / ".bin" / "yaml-language-server"
        with suppress(KeyboardInterrupt):
            wrong = asyncio.run(asyncio.wait_for(check(server, place / "project"), patience(60)))
            print("\n".join(wrong) or "The editor completes and marks the files of a project.")
            sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
