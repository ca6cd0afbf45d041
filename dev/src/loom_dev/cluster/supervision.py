"""Configures a supervisor and calls it while it runs."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from loom_dev.backends.program import Program
from loom_dev.cluster.place import ClusterFolder
from loom_dev.errors import SetupError
from loom_dev.waiting import until

DOWN_SECONDS = 90.0
"""The number of seconds to stop: services finish what is in flight, for up to half a minute, and then the servers
end."""


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _environment(values: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items())


def section(program: Program, log: Path, *, copies: int = 1, autostart: bool, priority: int) -> str:
    """Return the section of the configuration for one program.

    It runs under `setpriv --pdeathsig`, so that it ends with its supervisor however that ends."""
    number = program.stop_signal.name.removeprefix("SIG")
    command = shlex.join(("setpriv", "--pdeathsig", number, "--", *program.command))
    lines = {
        "command": _escaped(command),
        "process_name": "%(program_name)s-%(process_num)d",
        "numprocs": copies,
        "numprocs_start": 1,
        "directory": _escaped(str(program.folder)),
        "environment": _environment(program.environment),
        "autostart": str(autostart).lower(),
        "autorestart": "true",
        "startsecs": 2,
        "stopsignal": number,
        "stopwaitsecs": 40,
        "priority": priority,
        "redirect_stderr": "true",
        "stdout_logfile": _escaped(f"{log}/{program.name}.log") if copies == 1 else
        _escaped(f"{log}/{program.name}") + "-%(process_num)d.log",
        "stdout_logfile_maxbytes": "10MB",
        "stdout_logfile_backups": 1,
    }  # fmt: skip
    if program.user:
        lines["user"] = program.user.pw_name
    return f"[program:{program.name}]\n" + "".join(f"{name}={value}\n" for name, value in lines.items())


def configuration(place: ClusterFolder, sections: Iterable[str]) -> str:
    """Return the configuration: a socket that only the owner may use, and the programs."""
    user = "user=root\n" if os.geteuid() == 0 else ""
    return (
        f"[unix_http_server]\nfile={_escaped(str(place.outside))}/supervisor.sock\nchmod=0600\n\n"
        f"[supervisord]\n{user}directory={_escaped(str(place.project))}\n"
        f"pidfile={_escaped(str(place.folder))}/supervisord.pid\nlogfile={_escaped(str(place.logs))}/supervisord.log\n"
        f"childlogdir={_escaped(str(place.logs))}\n\n"
        "[rpcinterface:supervisor]\n"
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\n" + "\n".join(sections)
    )


ALIVE = ("STARTING", "RUNNING", "BACKOFF")


class Supervisor:
    """Represents the process that runs the cluster's programs, restarts those that end, and ends all on request."""

    def __init__(self, place: ClusterFolder) -> None:
        self._place = place

    @property
    def _calls(self) -> Any:
        """Return a connection to its API. Each call uses a new one, because one that failed cannot be used again."""
        transport = SupervisorTransport(None, None, f"unix://{self._place.outside}/supervisor.sock")
        return xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor

    @property
    def pid(self) -> int:
        """Return the pid of the supervisor; 0 where it does not run."""
        try:
            return int(self._calls.getPID())
        except (OSError, xmlrpc.client.ProtocolError):
            return 0

    def apply(self, text: str) -> None:
        """Start the supervisor with this configuration, or apply the changes to it. Raises `SetupError`."""
        path = self._place.write("supervisord.conf", text)
        if self.pid:
            self._update()
            return
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self._place.project)
        if done.returncode or not until(lambda: bool(self.pid), 10):
            raise SetupError(f"The supervisor did not start: {(done.stderr or done.stdout).strip()}")

    def _update(self) -> None:
        added, changed, removed = self._calls.reloadConfig()[0]
        for group in (*changed, *removed):
            self._calls.stopProcessGroup(group)
            self._calls.removeProcessGroup(group)
        for group in (*added, *changed):
            self._calls.addProcessGroup(group)

    def start(self, group: str) -> None:
        """Start the programs of a group that do not run, without waiting."""
        for process in self.processes(group):
            if process["statename"] not in ALIVE:
                self._calls.startProcess(f"{group}:{process['name']}", False)

    def processes(self, group: str = "") -> list[dict[str, Any]]:
        """Return name, group, state and pid of every process."""
        return [each for each in self._calls.getAllProcessInfo() if group in ("", each["group"])]

    def fallen(self) -> list[str]:
        """Return the groups with a process that ended repeatedly and is no longer restarted."""
        return sorted({str(each["group"]) for each in self.processes() if each["statename"] == "FATAL"})

    def down(self, *first: str) -> bool:
        """End the groups `first`, then all others. Returns False where nothing ran.

        Raises `SetupError` where a process does not end."""
        pid = self.pid
        if not pid:
            return False
        self._stop([each for each in self.processes() if each["group"] in first])
        self._stop(self.processes())
        self._calls.shutdown()
        if not until(lambda: not _lives(pid), DOWN_SECONDS):
            os.kill(pid, signal.SIGKILL)
            raise SetupError(f"The supervisor had to be killed. Its log is {self._place.logs}/supervisord.log.")
        return True

    def _stop(self, processes: list[dict[str, Any]]) -> None:
        """Stop all at the same time, which the supervisor does not do by itself."""
        names = {f"{each['group']}:{each['name']}" for each in processes if each["statename"] in ALIVE}
        for name in names:
            self._calls.stopProcess(name, False)
        until(
            lambda: all(
                each["statename"] not in (*ALIVE, "STOPPING")
                for each in self.processes()
                if f"{each['group']}:{each['name']}" in names
            ),
            DOWN_SECONDS,
        )


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
