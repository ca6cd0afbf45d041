"""Looks at what Loom has here: the installation, the project, its state, and what its pipelines ask over a network."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from loom.preflight import reachability
from loom.preflight.engine_check import checked_engine
from loom.preflight.model_calls.model_endpoints import endpoints
from loom.project import catalog, definition_file, run_state
from loom.project.config import LoomConfig
from loom.project.configured.engine_names import EMBEDDED, RABBITMQ
from loom_ai.http.endpoints import Endpoint
from loom_common import extras
from loom_common.domain.json_values.shown import Shown
from loom_common.domain.values.plural import counted
from loom_common.domain.values.urls import redacted
from loom_common.errors import InvalidDefinition, LoomError

OLDEST = (3, 11)
"""The oldest Python that Loom runs on."""
_ENGINES = {EMBEDDED: "runs are carried out in this process", RABBITMQ: "runs are carried out by a cluster"}


@dataclass(frozen=True, slots=True)
class Finding(Shown):
    """Describes one thing that was looked at."""

    what: str
    """`loom`, `python`, `system`, `project`, `engine`, `state`, `extra ...`, `pipelines`, `model`, `journal` or
    `cluster`."""
    status: str
    """`ok`; `missing` where something is not here that some pipelines need; or `wrong`, where it stands in the way."""
    detail: str
    remedy: str | None = None
    """The command that mends it, or what to do."""


async def examine(config: LoomConfig) -> list[Finding]:
    """Look at everything. Nothing is written, and no model is asked a question."""
    found = [*_installation(), _project(config), _engine(config), await _state(config)]
    found += [_extra(name) for name in extras.PURPOSES]
    found += await _pipelines(config)
    found += await _servers(config)
    return found


def _installation() -> Iterable[Finding]:
    from importlib.metadata import version

    how = "its checkout" if extras.in_checkout() else "its wheel"
    yield Finding("loom", "ok", f"{version('loom-pipelines')}, from {how}, in {sys.prefix}")
    old = sys.version_info < OLDEST
    yield Finding("python", "wrong" if old else "ok", f"{platform.python_version()} ({platform.machine()})")
    windows = "Windows: only the embedded engine, and nothing was tested there"
    yield Finding("system", "ok", windows if os.name == "nt" else f"{platform.system()} {platform.release()}")


def _project(config: LoomConfig) -> Finding:
    if config.file is None:
        remedy = "`loom init NAME` makes a project, `loom config init` makes one of this folder"
        words = f"no loom.yaml from here upwards: this folder, {config.project}, is the project"
        return Finding("project", "missing", words, remedy)
    return Finding("project", "ok", str(config.file))


def _engine(config: LoomConfig) -> Finding:
    """See whether what carries out runs is here. It is imported, and nothing is started."""
    name = config.engine_name
    if name in _ENGINES:
        return Finding("engine", "ok", f"{name}: {_ENGINES[name]}")
    (check,) = checked_engine(config)
    return Finding("engine", "ok" if check.ok else "wrong", check.detail)


async def _state(config: LoomConfig) -> Finding:
    from loom_migrations.engine import open_engine
    from loom_migrations.upgrade import is_current

    try:
        url = config.state_url
        place = run_state.place(config)
        if _is_new(url):
            return Finding("state", "ok", f"{place}: not there yet; the first run makes it")
        engine = open_engine(url)
        try:
            current = await is_current(engine)
        finally:
            await engine.dispose()
    except LoomError as error:
        return Finding("state", "wrong", str(error))
    if current:
        return Finding("state", "ok", f"{place}: has the newest schema")
    if config.distributed:
        words = "its schema is older than this Loom"
        return Finding("state", "wrong", f"{place}: {words}", "loom-coordinator db upgrade")
    return Finding("state", "ok", f"{place}: has an older schema; the next run upgrades it")


def _is_new(url: str) -> bool:
    return url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists()


def _extra(name: str) -> Finding:
    if extras.missing(name):
        return Finding(f"extra {name}", "missing", f"{extras.PURPOSES[name]}: not installed", extras.command(name))
    return Finding(f"extra {name}", "ok", extras.PURPOSES[name])


async def _pipelines(config: LoomConfig) -> list[Finding]:
    found: list[Finding] = []
    asked: dict[Endpoint, None] = {}
    entries = catalog.entries(config)
    for entry in entries:
        shown = _shown(entry.path)
        try:
            loaded = definition_file.load(entry.path, config.applied_to, config.allowed)
        except InvalidDefinition as error:
            mistakes = counted(len(error.problems), "mistake")
            found.append(Finding("pipelines", "wrong", f"{shown}: {mistakes}", f"loom validate {shown}"))
        except LoomError as error:
            found.append(Finding("pipelines", "wrong", f"{shown}: {error}", f"loom validate {shown}"))
        else:
            asked |= dict.fromkeys(endpoints(loaded.pipeline))
    if not found:
        found = [Finding("pipelines", "ok", f"{counted(len(entries), 'pipeline')} can be read")]
    checks = await reachability.reached(asked, config)
    return found + [Finding("model", "ok" if check.ok else "wrong", check.detail) for check in checks]


def _shown(path: Path) -> str:
    return os.path.relpath(path)


async def _servers(config: LoomConfig) -> list[Finding]:
    """Try the journal and the broker, where they are servers."""
    try:
        checks = await reachability.journal(config)
        found = [Finding("journal", "ok" if check.ok else "wrong", check.detail) for check in checks]
        url = config.settings().bus.url.get_secret_value()
    except LoomError as error:
        return [Finding("cluster", "wrong", str(error))]
    if url.startswith("memory:"):
        return found
    from yarl import URL

    address = URL(url)
    place = redacted(url)
    try:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(address.host, address.port or 5672)
    except (OSError, TimeoutError) as error:
        words = str(error) or "no answer within 5 s"
        return [*found, Finding("cluster", "wrong", f"{place}: {words}", "start the broker, or correct `bus.url`")]
    writer.close()
    return [*found, Finding("cluster", "ok", f"{place} accepts connections")]
