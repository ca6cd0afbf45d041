"""Runs one server as a child process, and ends it when the process that owns it is gone.

The owner starts this file as a script and writes one line of JSON to its stdin: the command to run. The script prints
the server's pid and waits. Where the server ends, the script ends with the same exit code. Where the pipe closes, which
the kernel does however the owner died, the script kills the server and removes its folder. Where the script itself is
killed, the kernel kills the server (`PR_SET_PDEATHSIG`; the script has one thread, which is the server's parent)."""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends. Where the parent has ended already, of which the kernel
    tells nobody, this process ends here."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    identity = {} if order["user"] is None else {"user": order["user"], "group": order["group"], "extra_groups": []}
    with Path(order["log"]).open("ab") as log:
        return subprocess.Popen(
            order["command"],
            env=order["environment"],
            cwd=order["folder"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=partial(end_with, os.getpid()),  # noqa: PLW1509 - the watchdog has one thread
            **identity,
        )


def main() -> int:
    order = json.loads(sys.stdin.readline())
    server = _start(order)
    print(server.pid, flush=True)
    ended = os.pidfd_open(server.pid)
    ready, _, _ = select.select([ended, sys.stdin], [], [])
    if ended not in ready:
        server.send_signal(order["kill_signal"])
        server.wait()
        shutil.rmtree(order["folder"], ignore_errors=True)
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
