"""Queries the versions of prompts that runs have used."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import func, select

from loom_common.async_engine import AsyncConnection
from loom_common.domain.json_values.shown import Shown
from loom_common.errors import ConfigurationError, NotFound
from loom_coordinator.db.tables.runs import pipeline_runs, prompt_versions


@dataclass(frozen=True, slots=True)
class PromptVersion(Shown):
    """Describes one version of a pipeline's prompt."""

    prompt_name: str
    """The pipeline's name, a slash, and the prompt's file, or the beginning of its text."""
    pipeline: str
    version: str
    content_hash: str
    created_at: dt.datetime
    runs: int
    """The number of runs of the pipeline that asked by this version."""
    last_run: str | None
    """The id of the newest of them."""
    content: str


async def listed(connection: AsyncConnection, pipeline: str | None) -> list[PromptVersion]:
    """Return the versions of the prompts of a pipeline, or of all, the newest first."""
    table = prompt_versions.c
    query = select(table.prompt_name, table.version, table.content_hash, table.created_at, table.content)
    if pipeline is not None:
        query = query.where(table.prompt_name.startswith(f"{pipeline}/", autoescape=True))
    rows = (await connection.execute(query.order_by(table.created_at.desc(), table.prompt_name, table.version))).all()
    used = await _used(connection, pipeline)
    found = []
    for name, version, content_hash, created_at, content in rows:
        owner = name.partition("/")[0]
        runs, last = used.get((owner, version), (0, None))
        found.append(PromptVersion(name, owner, version, content_hash, created_at, runs, last, content))
    return found


async def find(connection: AsyncConnection, pipeline: str, version: str | None) -> PromptVersion:
    """Return the newest version of a pipeline's prompt, or that of which `version` is the name, or the beginning of its
    name or of its content's hash. Raises `NotFound`, and `ConfigurationError` where several are meant."""
    known = await listed(connection, pipeline)
    if not known:
        raise NotFound(
            f"No prompt of '{pipeline}' is known here: its runs have asked no model, or there are none. "
            "`loom prompt list` lists those of all pipelines."
        )
    if version is None:
        return known[0]
    exact = [each for each in known if each.version == version]
    meant = exact or [each for each in known if version and each.version.startswith(version)]
    meant = meant or [each for each in known if version and each.content_hash.startswith(version)]
    if len(meant) == 1:
        return meant[0]
    names = ", ".join(dict.fromkeys(each.version for each in meant or known))
    if meant:
        raise ConfigurationError(f"{version} may be several versions of the prompt of '{pipeline}': {names}.")
    raise NotFound(f"There is no version {version} of the prompt of '{pipeline}'. There are: {names}.")


async def _used(connection: AsyncConnection, pipeline: str | None) -> dict[tuple[str, str], tuple[int, str]]:
    """Return how many runs asked by a version, and the newest, by the pipeline and the version."""
    runs = pipeline_runs.c
    place = func.row_number().over(
        partition_by=(runs.pipeline_name, runs.prompt_version), order_by=(runs.started_at.desc(), runs.run_id)
    )
    number = func.count().over(partition_by=(runs.pipeline_name, runs.prompt_version))
    query = select(
        runs.pipeline_name, runs.prompt_version, runs.run_id, number.label("number"), place.label("place")
    ).where(runs.prompt_version.is_not(None))
    if pipeline is not None:
        query = query.where(runs.pipeline_name == pipeline)
    newest = query.subquery()
    rows = await connection.execute(select(newest).where(newest.c.place == 1))
    return {(name, version): (count, run_id) for name, version, run_id, count, _ in rows}
