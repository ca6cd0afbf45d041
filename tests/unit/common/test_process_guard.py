"""Tests that code which is not Loom's cannot end or change the process that it shares with Loom."""

import _thread
import contextlib
import multiprocessing
import os
import resource
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from loom_common.foreign_code.process_guard import RefusedToForeignCode, foreign, is_foreign
from loom_common.user_code.event_loop import UserLoop
from loom_common.user_code.threads import Threads

REFUSED = {
    "os._exit": lambda: os._exit(7),
    "os.abort": lambda: os.abort(),  # noqa: PLW0108 - looked up when it is called
    "os.execv": lambda: os.execlp("true", "true"),
    "os.execve": lambda: os.execle("/bin/true", "true", {}),
    "os.kill of itself": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "os.kill of its group": lambda: os.kill(0, signal.SIGTERM),
    "os.killpg": lambda: os.killpg(os.getpgrp(), signal.SIGTERM),
    "os.close": lambda: os.close(2),
    "os.closerange": lambda: os.closerange(0, 3),
    "os.chdir": lambda: os.chdir("/"),
    "signal.signal": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    "signal.alarm": lambda: signal.alarm(1),
    "signal.setitimer": lambda: signal.setitimer(signal.ITIMER_REAL, 60.0),
    "signal.raise_signal": lambda: signal.raise_signal(signal.SIGTERM),
    "signal.pthread_kill": lambda: signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM),
    "thread.interrupt_main": lambda: _thread.interrupt_main(),  # noqa: PLW0108 - as above
    "resource.setrlimit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8)),
    "a lower recursion limit": lambda: sys.setrecursionlimit(60),
    "a recursion limit beyond a thread's stack": lambda: sys.setrecursionlimit(10**8),
}
ALLOWED = {
    "the signal 0": lambda: os.kill(os.getpid(), 0),
    "descriptors of its own": lambda: os.close(os.open(os.devnull, os.O_RDONLY)),
    "the recursion limit as it is": lambda: sys.setrecursionlimit(sys.getrecursionlimit()),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_would_end_or_change_the_process_is_refused_in_threads_and_on_loops_of_user_code(what):
    async def awaited() -> None:
        REFUSED[what]()

    loop = UserLoop()
    with pytest.raises(RefusedToForeignCode, match="is refused to code that runs in a process of Loom"):
        await Threads().each([what], lambda each: REFUSED[each](), 60.0, late=lambda _: None)
    with pytest.raises(RefusedToForeignCode):
        await loop.run(awaited, 60.0)
    await loop.close()


def test_a_library_that_sets_handlers_only_where_python_lets_it_can_be_imported():
    before = signal.getsignal(signal.SIGUSR1)
    with foreign(), contextlib.suppress(ValueError):  # as libraries are written for threads
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGUSR1) is before


@pytest.mark.parametrize("what", ALLOWED)
async def test_what_harms_nobody_is_allowed(what):
    await Threads().each([what], lambda each: ALLOWED[each](), 60.0, late=lambda _: None)


def test_threads_that_foreign_code_starts_are_foreign_and_those_of_loom_are_not():
    seen: dict[str, bool] = {}

    def look(name: str) -> None:
        seen[name] = is_foreign()

    def started(name: str) -> None:
        thread = threading.Thread(target=look, args=(name,))
        thread.start()
        thread.join()

    with foreign():
        look("itself")
        started("a thread")
        with ThreadPoolExecutor() as pool:
            pool.submit(look, "a pool").result()
            pool.submit(started, "a thread of a pool's").result()
    look("after")
    started("a thread after")
    assert seen == {
        "itself": True,
        "a thread": True,
        "a pool": True,
        "a thread of a pool's": True,
        "after": False,
        "a thread after": False,
    }


def test_a_thread_whose_target_ends_the_process_is_told_in_a_line(capsys):
    with foreign():
        thread = threading.Thread(target=lambda: os._exit(3))
        thread.start()
        thread.join()
    said = capsys.readouterr().err
    assert said.startswith("A thread of the pipeline's code has ended: os._exit() is refused")
    assert said.count("\n") == 1


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_process_of_foreign_code_ends_as_it_likes():
    with foreign():
        child = multiprocessing.get_context("fork").Process(target=lambda: os._exit(7))
        child.start()
        child.join()
    assert child.exitcode == 7


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_copy_of_the_process_that_is_loom_s_own_is_guarded_too():
    with foreign():
        pass
    told, tell = os.pipe()
    if not (child := os.fork()):
        with foreign():
            os.write(tell, b"guarded" if is_foreign() else b"open")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(told, 20) == b"guarded"
    os.close(told)
    os.close(tell)
