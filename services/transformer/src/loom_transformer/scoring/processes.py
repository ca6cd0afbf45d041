"""Represents a process that holds one instance of a scorer, as the worker that started it sees it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loom_common.domain.model_options.scorers import Classifier
from loom_common.errors import PermanentError, RecordError, TransientError, UserCodeError
from loom_common.resilience.process_memory import held_by
from loom_transformer.scoring.calls import WARM_UP_SECONDS
from loom_transformer.scoring.frames import LENGTH, framed, read

_LOOK_SECONDS = 0.1
"""Says how often the memory of a process that is limited is looked at while it scores."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
"""Names the variables that limit the threads of numeric libraries in one process."""


@dataclass(frozen=True, slots=True)
class Spec:
    """Says what the processes of a scorer are."""

    name: str
    """`vader`, the name of a plugin, `module:name`, or the path of an ONNX file."""
    folder: Path
    warm_up: str | None = None
    memory: int | None = None
    """The most bytes that a process may hold."""
    instances: int = 1
    classifier: Classifier | None = None


class ProcessEnded(Exception):
    """Reports that a process has ended before it answered. The message says how."""


class Process:
    """Scores texts in one process, one call at a time."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def is_too_large(self) -> bool:
        """Tell whether the process holds more than it may."""
        most, pid = self._spec.memory, self.pid
        return most is not None and pid is not None and held_by(pid) > most

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the process and wait until it has loaded the scorer. Raises `UserCodeError`, `ProcessEnded`."""
        spec = self._spec
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "loom_transformer.scoring.instance",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=_environment(spec.instances),
            )
        except OSError as error:
            raise UserCodeError(f"'{spec.name}': no process could be started for it: {error}") from error
        of_file = None if spec.classifier is None else [spec.classifier.labels, spec.classifier.into]
        said = {"name": spec.name, "folder": str(spec.folder), "warm_up": spec.warm_up, "classifier": of_file}
        try:
            answer = await asyncio.wait_for(self._ask(said), WARM_UP_SECONDS)
        except TimeoutError as error:
            raise UserCodeError(f"'{spec.name}' did not load within {WARM_UP_SECONDS:g} s in its process.") from error
        if "failed" in answer:
            raise UserCodeError(answer["failed"])
        if self.is_too_large:
            assert self.pid is not None
            assert spec.memory is not None
            raise UserCodeError(
                f"'{spec.name}' holds {_mb(held_by(self.pid))} as soon as it is loaded, and `transform.memory` allows "
                f"{_mb(spec.memory)}. Raise it."
            )

    async def scored(self, texts: Sequence[str], seconds: float) -> Sequence[Any] | RecordError:
        """Return the output, or the error, of each text; or the error of the call. Raises `TimeoutError`,
        `ProcessEnded`, and what the scorer raised of more than its texts."""
        asking = asyncio.create_task(self._ask({"texts": list(texts)}))
        try:
            answer = await self._awaited(asking, seconds)
        finally:
            asking.cancel()
        if "error" in answer:
            if "permanent" in answer:
                raise (PermanentError if answer["permanent"] else TransientError)(answer["error"])
            return RecordError(answer["error"], code=answer["code"])
        return [
            each["output"] if "output" in each else RecordError(each["error"], code=each["code"])
            for each in answer["outputs"]
        ]

    async def end(self) -> None:
        """End the process at once."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        # Its pipes are closed now, because a copy that the scorer made of its process may hold their other ends open.
        process._transport.close()  # type: ignore[attr-defined]  # a process has no such method itself
        await asyncio.sleep(0)  # the pipes close in the next turn of the loop

    async def _awaited(self, asking: asyncio.Task[Any], seconds: float) -> Any:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            left = until - loop.time()
            step = left if self._spec.memory is None else min(left, _LOOK_SECONDS)
            await asyncio.wait({asking}, timeout=max(0.0, step))
            if asking.done():
                return asking.result()
            if self.is_too_large:
                assert self._spec.memory is not None
                raise ProcessEnded(f"grew beyond the {_mb(self._spec.memory)} of `transform.memory`")
            if loop.time() >= until:
                raise TimeoutError

    async def _ask(self, request: Any) -> Any:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(framed(request))
            await process.stdin.drain()
            head = await process.stdout.readexactly(LENGTH.size)
            return read(await process.stdout.readexactly(LENGTH.unpack(head)[0]))
        except (OSError, asyncio.IncompleteReadError) as error:
            raise ProcessEnded(_how(await process.wait())) from error


def processors() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows have no such call
        return os.cpu_count() or 1


def _environment(instances: int) -> Mapping[str, str]:
    """Return the environment of a process: that of the worker, its path of modules, and as many threads for numeric
    libraries as there are processors for each instance."""
    share = str(max(1, processors() // instances))
    path = os.pathsep.join(each for each in sys.path if each)
    return {**dict.fromkeys(_THREADS, share), **os.environ, "PYTHONPATH": path}


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with the exit code {code}"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by the signal {-code}"


def _mb(size: int) -> str:
    return f"{size / 1024 / 1024:,.0f} MB"
