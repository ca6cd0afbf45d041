"""Says what a connector may know of where it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loom_common.allowed_paths import AllowedPaths
from loom_common.config.credentials import Credentials
from loom_common.domain.definition.streams.settings import Pace
from loom_common.domain.incremental.window import Point
from loom_common.ports.clock import Clock, SystemClock
from loom_common.ports.inbox import Inbox
from loom_common.ports.payloads import PayloadStore
from loom_common.user_code.threads import Threads


@dataclass(frozen=True, slots=True)
class ConnectorContext:
    """Says what a connector may know of where it runs."""

    folder: Path
    """Relative paths start here: the pipeline file's folder on this machine."""
    credentials: Credentials
    allowed: tuple[Path, ...] = ()
    """Holds the folders and files besides `folder` that paths may lead to, of which the first is the project's."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Holds the run's parameters as typed Python values, for binding."""
    output_schema: Mapping[str, Any] | None = None
    """JSON Schema of the output, where the pipeline declares one: a destination may create its table by it."""
    record_key: tuple[str, ...] = ()
    """Holds the fields that identify a record, `extract.key`: a database updates by them unless it is told
    otherwise."""
    adds: bool = False
    """Tells whether the run adds to what is there unless it is told otherwise, as a replay does."""
    start: Point | None = None
    """Holds the least value of `extract.incremental`'s column that the run takes: a database or an API may be asked for
    no other. None where the run takes all, and before a run."""
    pace: Pace | None = None
    """Says how records are waited for where the source is read as a stream; None for a source that is read to its
    end."""
    inbox: Inbox | None = None
    """Holds the records that were given to the pipeline over HTTP; None before a run, and for another source."""
    reader: str | None = None
    """Names who reads the source, the same for all processes that may go on with it: those of a stream and of no other
    one, or those of the runs of a pipeline. None where nobody goes on."""
    sample: bool = False
    """Tells whether the run only tries things out: a destination then writes beside its place, and never into it, and
    a source keeps what it gives."""
    payloads: PayloadStore | None = None
    """Holds the records that were given to the run, and the rows that it gives back; None before a run."""
    threads: Threads = field(default_factory=Threads)
    """Runs the code of plugins."""
    clock: Clock = field(default_factory=SystemClock)
    call_seconds: float = 900.0
    """The most that one call of a plugin's source or destination may take."""

    @property
    def paths(self) -> AllowedPaths:
        """Return where paths may lead."""
        return AllowedPaths.of(*self.allowed, self.folder)
