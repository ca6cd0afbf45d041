"""Runs one server in the foreground, and ends it when its owner is gone.

Started as a script, with its owner's pipe as stdin; its order, a line of JSON, comes through it. It prints the
server's pid and waits: for the server to end (then it ends with the same code), or for the pipe to close, which
the kernel does however the owner died. Then the server is killed and its folder removed. Should the keeper itself
be killed, the kernel kills the server (`PR_SET_PDEATHSIG`; the keeper has one thread, so "parent" means the keeper)."""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1


def _die_with_the_keeper() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


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
            preexec_fn=_die_with_the_keeper,  # noqa: PLW1509 - the keeper has one thread
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
