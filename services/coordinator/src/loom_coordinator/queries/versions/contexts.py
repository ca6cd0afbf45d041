"""Queries the versions of context files that pipelines have used."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_common.errors import ConfigurationError, NotFound
from loom_coordinator.db.tables.runs import context_versions


@dataclass(frozen=True, slots=True)
class ContextVersion(Shown):
    """Describes one version of a context file."""

    pipeline: str
    path: str
    """The file's path, as the pipeline names it."""
    version: str
    """The beginning of the content's hash. Runs name it in `context_versions`."""
    content_hash: str
    created_at: dt.datetime
    content: str


async def listed(connection: AsyncConnection, pipeline: str) -> list[ContextVersion]:
    """Return the versions of the context files of a pipeline, the newest first."""
    table = context_versions.c
    query = (
        select(table.context_name, table.version, table.content_hash, table.created_at, table.content)
        .where(table.context_name.startswith(f"{pipeline}/", autoescape=True))
        .order_by(table.created_at.desc(), table.context_name, table.version)
    )
    return [
        ContextVersion(pipeline, name.partition("/")[2], version, content_hash, created_at, content)
        for name, version, content_hash, created_at, content in (await connection.execute(query)).all()
    ]


def meant(known: Sequence[ContextVersion], version: str, path: str | None) -> ContextVersion:
    """Return the version whose name or hash begins so, of the file with this path where one is named. Raises
    `NotFound`, and `ConfigurationError` where several are meant."""
    found = [
        each
        for each in known
        if path in (None, each.path) and version and version in (each.version, each.content_hash[: len(version)])
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{each.version} of {each.path}" for each in found or known)
    if found:
        raise ConfigurationError(f"{version} may be several versions: {names}. Name the file, too: `path`.")
    of_file = "" if path is None else f" of the context file {path}"
    raise NotFound(f"There is no version {version}{of_file}. There are: {names or 'none'}.")
