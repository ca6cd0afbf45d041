"""Starts `loom` commands and services as processes of their own that have Loom imported already.

The server imports Loom once, and forks for each process, which so takes none of the second of processor time that
importing takes. What was forked has descriptors, an environment and a folder of its own, runs a package as
`python -m` does, and ends as any process does. The server has no thread, so that it can be forked at any moment."""

from __future__ import annotations

import gc
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from loom_dev.backends.parent_watchdog import end_with

IMPORTED = (
    "aiosqlite",
    "uvloop",
    "loom.engine",
    "loom.session",
    "loom.preflight.checks",
    "loom.preflight.credential_checks",
    "loom.preflight.model_calls.model_checks",
    "loom.preflight.model_calls.model_endpoints",
    "loom.preflight.reachability",
    "loom.cli.commands.follow",
    "loom.cli.commands.starting.chain",
    "loom.cli.commands.starting.outcomes",
    "loom.cli.commands.state",
    "loom.cli.commands.testing.shown",
    "loom.cli.output.progress",
    "loom.cli.output.report",
    "loom.cli.output.schema_changes",
    "loom.project.catalog",
    "loom.requests.runs",
    "loom.requests.validation",
    "loom.testing.last_failed",
    "loom.testing.reports.written",
    "loom.testing.running.suites",
    "loom_ai.recordings.cassette",
    "loom_ai.recordings.recorder",
    "loom_ai.stores.sql.buckets",
    "loom_ai.stores.sql.budgets",
    "loom_ai.stores.sql.marks",
    "loom_ai.stores.sql.sqlite",
    "loom_ai.stores.redis",
    "loom_ai.stores.sql.postgres",
    "loom_common.adapters.amqp.bus",
    "loom_common.adapters.payloads.postgres",
    "loom_common.console.log_lines",
    "loom_common.service.health",
    "loom_connectors.files.destination",
    "loom_connectors.files.reading.source",
    "loom_connectors.formats.csv",
    "loom_connectors.formats.csv_writing",
    "loom_connectors.postgres.connector",
    "loom_connectors.storage.append",
    "loom_connectors.storage.local_storage",
    "loom_coordinator.admin.app",
    "loom_coordinator.service",
    "loom_extractor.service",
    "loom_transformer.handling",
    "loom_transformer.service",
    "loom_evaluator.handling",
    "loom_evaluator.service",
    "loom_loader.service",
    "loom_quarantine.service",
)
"""Names what commands and services import while they run, or most of it."""


def main() -> None:
    """Serve what comes over the socket whose descriptor is given, until it is closed; then end what still runs."""
    from loom_common.service import entry

    entry.begin()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in IMPORTED:
        import_module(name)
    import_module("loom.cli.root_command").application()  # imports the modules of all commands
    _build_models()
    gc.freeze()  # a collection in a fork would copy every page that it looks at
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        if (request := _serve(connection)) is None:
            return
    _become(*request)
    runpy.run_module(request[0]["package"], run_name="__main__")


def _build_models() -> None:
    """Build the validators of Loom's models, which a process builds when it needs them first: half of what a command
    takes that does little else."""
    waiting: list[type[BaseModel]] = [BaseModel]
    while waiting:
        model = waiting.pop()
        waiting += model.__subclasses__()
        if model.__module__.startswith("loom") and not model.__pydantic_complete__:
            model.model_rebuild(raise_errors=False)


def _serve(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Return what to run, in the process that runs it; None in the server, once it may end."""
    ended, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    running: set[int] = set()
    while True:
        ready, _, _ = select.select([connection, ended], [], [])
        if ended in ready:
            os.read(ended, 4096)
            for pid, code in _ended():
                running.discard(pid)
                connection.send(json.dumps({"ended": pid, "code": code}).encode())
        if connection in ready:
            message, descriptors, _, _ = socket.recv_fds(connection, 2**20, 2)
            if not message:
                for pid in running:
                    os.kill(pid, signal.SIGKILL)
                return None
            server = os.getpid()
            pid = os.fork()
            if not pid:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.close(ended)
                os.close(tell)
                return {**json.loads(message), "server": server}, descriptors
            running.add(pid)
            for each in descriptors:
                os.close(each)
            connection.send(json.dumps({"started": pid}).encode())


def _ended() -> list[tuple[int, int]]:
    """Return the processes that have ended since, and their exit codes."""
    found = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not pid:
            return found
        found.append((pid, os.waitstatus_to_exitcode(status)))


def _become(request: Mapping[str, Any], descriptors: list[int]) -> None:
    """Make this process what `python -m` and the package are when they begin. It ends with the server, however that
    ends."""
    end_with(request["server"])
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environ"])
    time.tzset()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nothing, *descriptors)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = io.TextIOWrapper(os.fdopen(0, "rb", closefd=False), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(
        os.fdopen(2, "wb", closefd=False), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
    sys.argv = [request["package"], *request["arguments"]]
    sys.path[0] = request["folder"]


if __name__ == "__main__":
    main()
