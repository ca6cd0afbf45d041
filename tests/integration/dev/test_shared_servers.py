"""Tests that all workers of a test run share one set of servers, and that none is left, however the run ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loom_dev.backends import Redis
from loom_dev.backends.local import LentHost
from loom_dev.errors import BackendUnavailable, SetupError
from loom_dev.waiting import until
from support.servers import Borrower, Lending, Owner, Servers

TESTS = Path(__file__).parents[2]
AS_HERE = f"""
from importlib.util import module_from_spec, spec_from_file_location
here = spec_from_file_location("as_here", {str(TESTS / "conftest.py")!r})
module = module_from_spec(here)
here.loader.exec_module(module)
globals().update({{name: each for name, each in vars(module).items() if not name.startswith("__")}})
"""
"""The hooks and fixtures of this folder."""
FOUR = """
import os
import signal
import time
from pathlib import Path
import pytest

@pytest.mark.parametrize("number", range(4))
def test_one(redis_server, own_redis, number):
    with redis_server.database() as url:
        words = Path(f"half-{number}")
        words.write_text(f"{redis_server.pid} {own_redis.pid} {os.getpid()} {url}")
        words.rename(f"used-{number}")  # whoever counts these files reads them at once
        while len(list(Path.cwd().glob("used-*"))) < 2:
            time.sleep(0.01)
"""
OPTIONS = ("-q", "-n2", "-c", os.devnull, "-pno:cacheprovider", "-pno:schemathesis", "-pno:logfire")
LEASES = f"loom-ports-{os.getuid()}"
"""The folder that says which ports are taken."""
CRASHES = "    if number == 0: os.kill(os.getpid(), signal.SIGKILL)\n"
NEVER_ENDS = "    time.sleep(600)\n"


@contextmanager
def run(folder: Path, tests: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a run of these tests by two workers."""
    (folder / "conftest.py").write_text(AS_HERE)
    (folder / "test_any.py").write_text(tests)
    environ = {name: each for name, each in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", *OPTIONS, "--rootdir", folder]
    with tempfile.TemporaryDirectory(prefix="loom-") as temporary:  # short: the name of a Unix socket is limited
        Path(temporary, LEASES).symlink_to(Path(tempfile.gettempdir(), LEASES))
        environ |= {"PYTHONPATH": str(TESTS), "TMPDIR": temporary}
        with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE) as started:
            try:
                yield started
            finally:
                started.kill()


def used(folder: Path) -> list[tuple[int, int, int, str]]:
    """Return, for each test, the shared server, its worker's own server and its worker by their pids, and its
    database."""
    words = [path.read_text().split() for path in folder.glob("used-*")]
    return [(int(shared), int(own), int(worker), url) for shared, own, worker, url in words]


def lives(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def all_ended(folder: Path) -> bool:
    return until(lambda: not any(map(lives, {pid for shared, own, *_ in used(folder) for pid in (shared, own)})), 20)


def test_workers_share_a_server_which_outlives_their_crash_and_not_the_run(tmp_path):
    with run(tmp_path, FOUR + CRASHES) as tests:
        out, _ = tests.communicate()
    assert tests.returncode == 1
    assert b"1 failed, 3 passed" in out
    found = used(tmp_path)
    workers = {worker for *_, worker, _ in found}
    assert len(found) == 4 and len(workers) >= 2
    assert len({shared for shared, *_ in found}) == 1
    assert len({own for _, own, *_ in found}) == len(workers)
    lent = [{url for *_, each, url in found if each == worker} for worker in workers]
    assert sum(map(len, lent)) == len(set().union(*lent))
    assert all_ended(tmp_path)


def test_no_server_is_left_when_the_run_is_killed(tmp_path):
    with run(tmp_path, FOUR + NEVER_ENDS) as tests:
        assert until(lambda: len(list(tmp_path.glob("used-*"))) == 2, 60)
        tests.kill()
        assert all_ended(tmp_path)


def test_a_lent_server_can_only_be_ended_by_its_owner():
    lending = Lending(Owner())
    servers = Servers(Borrower(lending.address, 3), ())
    assert servers.redis.running
    for each in (servers.redis.stop, servers.redis.kill, servers.redis.restart, servers.redis.close):
        with pytest.raises(SetupError, match="lent"):
            each()
    assert servers.redis.is_ready()
    pid = servers.redis.pid
    servers.close()
    lending.close()
    assert not LentHost(pid).running


def test_a_server_that_does_not_start_is_said_to_every_worker(monkeypatch):
    def start(self: Redis) -> Redis:
        raise BackendUnavailable("redis is not installed. Install it.")

    monkeypatch.setattr(Redis, "start", start)
    lending = Lending(Owner())
    for number in range(2):
        with pytest.raises(BackendUnavailable, match="Install it"):
            Borrower(lending.address, number).serve("redis")
    lending.close()


def test_a_server_of_a_tests_own_is_found_in_service_again():
    servers = Servers(Owner(), ())
    own = servers.own(Redis)
    own.kill()
    assert servers.own(Redis) is own and own.is_ready()
    servers.close()
    assert not own.running
