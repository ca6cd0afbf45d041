"""Runs a backend as private processes on this machine, or uses one that another process runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loom_dev.backends.program import Program
from loom_dev.errors import SetupError

WATCHDOG = Path(__file__).with_name("parent_watchdog.py")
STOP_SECONDS = 20.0


class Process:
    """Runs one program and the watchdog that ends it with this process."""

    def __init__(self, program: Program) -> None:
        self._program = program
        order = {
            "command": program.command,
            "environment": {**os.environ, **program.environment},
            "folder": str(program.folder),
            "log": str(program.log),
            "user": program.user and program.user.pw_uid,
            "group": program.user and program.user.pw_gid,
            "kill_signal": program.kill_signal,
        }
        with program.log.open("ab") as log:
            self._watchdog = subprocess.Popen(
                [sys.executable, "-I", str(WATCHDOG)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.pid = self._ordered(json.dumps(order))

    def _ordered(self, order: str) -> int:
        """Send the command to the watchdog and return the server's pid; 0 where it did not start. It goes through a
        pipe, because command lines are public."""
        words, answers = self._watchdog.stdin, self._watchdog.stdout
        if words is None or answers is None:
            return 0
        words.write(f"{order}\n".encode())
        words.flush()
        return int(answers.readline() or 0)

    @property
    def running(self) -> bool:
        return self._watchdog.poll() is None

    def stop(self) -> None:
        """Shut down in order; kill it after 20 s."""
        self._signal(self._program.stop_signal)
        try:
            self._watchdog.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._release()

    def kill(self) -> None:
        """Kill the process, as in a crash."""
        self._signal(self._program.kill_signal)
        self._watchdog.wait()
        self._release()

    def _signal(self, number: signal.Signals) -> None:
        if not (self.running and self.pid):
            return
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(self.pid, number)
            os.kill(self.pid, signal.SIGCONT)  # a process that a test has stopped would not receive the other signal

    def _release(self) -> None:
        for pipe in (self._watchdog.stdin, self._watchdog.stdout):
            if pipe:
                pipe.close()


class LocalHost:
    """Runs the programs of one backend, started in order and ended in reverse."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._programs = programs
        self._processes: list[Process] = []

    @property
    def running(self) -> bool:
        return len(self._processes) == len(self._programs) and all(process.running for process in self._processes)

    @property
    def pid(self) -> int:
        """Return the server's pid; 0 while it does not run."""
        return self._processes[-1].pid if self._processes else 0

    def start(self) -> None:
        for program in self._programs:
            self._processes.append(Process(program))

    def stop(self) -> None:
        while self._processes:
            self._processes.pop().stop()

    def kill(self) -> None:
        while self._processes:
            self._processes.pop().kill()

    def log(self) -> str:
        """Return the last lines of the programs' logs."""
        texts = (program.log.read_text(errors="replace") for program in self._programs if program.log.exists())
        return "\n".join("\n".join(text.splitlines()[-15:]) for text in texts)


@dataclass(frozen=True)
class LentHost:
    """Stands for the programs of a backend that another process started, and which that process alone may end."""

    pid: int

    @property
    def running(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:  # it runs as another user
            pass
        return True

    def start(self) -> None:
        """Refuse what only the owner may do. Raises `SetupError`."""
        raise SetupError(f"The server {self.pid} is lent to several processes: start, stop and kill one of your own.")

    stop = kill = start

    def log(self) -> str:
        return ""
