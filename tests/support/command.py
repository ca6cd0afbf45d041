"""Runs the `loom` command as a process of its own, which can be killed like one, and has Loom imported already."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from loom_dev.waiting import within
from support import forked
from support.watching import Watch, changes_runs, code_is_of_a_run

PATIENCE = 90.0
"""Seconds a command may take."""
_LOOK_SECONDS = 0.01


@dataclass(frozen=True)
class Ended:
    """Says how a command ended."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Return what it said on stdout, wherever its lines were broken."""
        return " ".join(self.out.split())

    @property
    def report(self) -> dict[str, Any]:
        """Return the document on stdout."""
        assert self.out, f"exit code {self.code}, nothing on stdout; on stderr:\n{self.err}"
        document: dict[str, Any] = json.loads(self.out)
        return document


class Command:
    """Represents a running `loom ...`."""

    def __init__(self, process: forked.ForkedCommand, watch: Watch | None, *, follows: bool) -> None:
        self._process = process
        self._watch = watch
        self._follows = follows
        self._ending = asyncio.create_task(process.communicate())

    @classmethod
    async def begin(cls, folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Command:
        """Start the command in `folder`, with nothing of this process's `LOOM_*` settings but those of `environ`. What
        it runs must leave true books: see `truth.py`."""
        watch = await Watch.begin(folder) if changes_runs(arguments) else None
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("LOOM_", "OPENAI_"))}
        process = await forked.fork_command(folder, arguments, {**clean, **(environ or {})})
        return cls(process, watch, follows=code_is_of_a_run(arguments))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def reach(self, condition: Callable[[], bool]) -> bool:
        """Wait until `condition` holds, or the command has ended. Returns whether it still runs."""
        async with within(PATIENCE):
            while self.running and not condition():
                await asyncio.sleep(_LOOK_SECONDS)
        return self.running

    async def says(self, words: str) -> bool:
        """Wait until it has said so on stderr, or has ended. Returns whether it still runs."""
        return await self.reach(lambda: words.encode() in self._process.err)

    async def kill(self) -> None:
        """Send SIGKILL. What was in flight is stored nowhere, so the counts are not checked."""
        if self._watch is not None:
            self._watch.give_up()
        self._process.kill()
        await self._ending

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send Ctrl-C, or another signal."""
        self._process.send_signal(number)

    async def end(self, seconds: float = PATIENCE) -> Ended:
        """Wait for it. Raises `UntrueBooks` where what it wrote of a run is not what happened. One that goes on is
        killed, and fails the test."""
        try:
            async with within(seconds, "the command's end"):
                out, err = await asyncio.shield(self._ending)
        except AssertionError as late:
            self._process.kill()
            raise AssertionError(f"{late} It said: {self._process.err.decode(errors='replace')}") from None
        code = self._process.returncode
        assert code is not None
        if self._watch is not None:
            await self._watch.end(code if self._follows else None)
        return Ended(code, out.decode(), err.decode())


async def loom(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Ended:
    """Run a command to its end."""
    return await (await Command.begin(folder, *arguments, environ=environ)).end()


def commands_given_a_run(app: typer.Typer) -> set[tuple[str, ...]]:
    """Return the names of all commands of a command line that may be given the id of a run."""
    return set(_given_a_run(typer.main.get_command(app), ()))


def _given_a_run(command: Any, name: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for below, inner in getattr(command, "commands", {}).items():
        yield from _given_a_run(inner, (*name, below))
    if any(parameter.metavar in ("RUN", "[RUN]") for parameter in command.params):
        yield name


def runs(folder: Path) -> list[str]:
    """Return the runs that the project's own state database knows, oldest first; none where there is no database
    yet."""
    path = folder / ".loom" / "loom.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'pipeline_runs'").fetchone():
            return []
        return [run_id for (run_id,) in database.execute("SELECT run_id FROM pipeline_runs ORDER BY started_at")]
