"""Scores texts in several processes, each of which holds an instance of the scorer (docs/adr/0039).

A process is started when a call finds none that is free. One that hangs, or grows beyond its memory, is ended, and
another one takes its place. Its texts are then scored each alone; one that ends two processes alone is at fault."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from loom_common.domain.marks import POISON, STRIKES
from loom_common.errors import RecordError, UserCodeError
from loom_common.logs.logger import log
from loom_common.user_code.poison_isolation import MODEL_CALLS
from loom_transformer.scoring.answers import late
from loom_transformer.scoring.processes import Process, ProcessEnded, Spec

IDLE_SECONDS = 300.0
"""Says how long a process that has nothing to score is kept."""


class Instances:
    """Holds the processes of one scorer in one worker. Each starts at the first call that needs it."""

    def __init__(self, spec: Spec, idle_seconds: float = IDLE_SECONDS) -> None:
        self._spec = spec
        self._idle_seconds = idle_seconds
        self._free = asyncio.Semaphore(spec.instances)
        self._idle: list[Process] = []
        self._all: set[Process] = set()
        self._retiring: dict[Process, asyncio.TimerHandle] = {}
        self._underway: set[asyncio.Task[Any]] = set()
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def pids(self) -> list[int]:
        """Return the ids of the processes that run."""
        return [each.pid for each in self._all if each.pid is not None and each.is_alive]

    async def scored(self, texts: list[str], seconds: float) -> Sequence[Any] | RecordError:
        """Return an output, or an error, for each text; or why there is none for any of them. Raises `UserCodeError`
        where the scorer cannot be loaded, and what it raises of more than its texts.

        A caller that is cancelled leaves the call to its end, because a process that loads a model, or holds one, is
        worth more than the time of the call."""
        task = asyncio.create_task(self._tried(texts, seconds))
        self._underway.add(task)
        task.add_done_callback(self._underway.discard)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End all processes."""
        for task in self._underway:
            task.cancel()
        await asyncio.gather(*self._underway, *self._ending, return_exceptions=True)
        for process in list(self._all):
            await self._ended(process)

    async def _tried(self, texts: list[str], seconds: float) -> Sequence[Any] | RecordError:
        name, ended = self._spec.name, ""
        for _ in range(STRIKES if len(texts) == 1 else 1):
            async with self._free:
                process = await self._taken()
                try:
                    found = await process.scored(texts, seconds)
                except TimeoutError:
                    await self._ended(process)
                    return late(name, seconds)
                except ProcessEnded as error:
                    ended = str(error)
                    log.warning("a process that scores is replaced", scorer=name, why=ended, texts=len(texts))
                    await self._ended(process)
                    continue
                except asyncio.CancelledError:
                    await self._ended(process)
                    raise
                except BaseException:
                    await self._put_back(process)
                    raise
                await self._put_back(process)
                return found
        words = f"{name}: the process that scored the text {ended}"
        return RecordError(f"{words}, {STRIKES} times" if len(texts) == 1 else words, code=POISON)

    async def _taken(self) -> Process:
        """Return a process that has loaded the scorer: the one that was used last, so that others may end where one
        suffices."""
        while self._idle:
            process = self._idle.pop()
            self._retiring.pop(process).cancel()
            if process.is_alive:
                return process
            await self._ended(process)
        ended = ""
        for _ in range(STRIKES):
            process = Process(self._spec)
            self._all.add(process)
            try:
                await process.start()
            except ProcessEnded as error:
                ended = str(error)
                await self._ended(process)
            except BaseException:
                await self._ended(process)
                raise
            else:
                return process
        raise UserCodeError(
            f"'{self._spec.name}': its process {ended} while it loaded, {STRIKES} times. See that there is "
            f"memory for {self._spec.instances} of them (`transform.instances`)."
        )

    async def _put_back(self, process: Process) -> None:
        if process.is_too_large:
            log.info("a process that scores is replaced", scorer=self._spec.name, why="memory")
            await self._ended(process)
            return
        loop = asyncio.get_running_loop()
        self._idle.append(process)
        self._retiring[process] = loop.call_later(self._idle_seconds, self._retire, process)

    def _retire(self, process: Process) -> None:
        self._idle.remove(process)
        del self._retiring[process]
        task = asyncio.create_task(self._ended(process))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _ended(self, process: Process) -> None:
        if process in self._idle:
            self._idle.remove(process)
            self._retiring.pop(process).cancel()
        await process.end()
        self._all.discard(process)  # last, so that whoever closes ends it where this was cancelled


class Apart:
    """Calls the instances of a scorer, each call of at most `seconds`."""

    risk = MODEL_CALLS
    at_once = True

    def __init__(self, instances: Instances, seconds: float) -> None:
        self._instances = instances
        self._seconds = seconds

    async def scored(self, texts: list[str]) -> Sequence[Any] | RecordError:
        return await self._instances.scored(texts, self._seconds)
