"""Reads what commands ask of the run state before and beside a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from loom.project.run_state import no_run, place
from loom_common.domain.values.ids import STREAM_PREFIX
from loom_common.domain.values.plural import counted
from loom_common.errors import ConfigurationError

if TYPE_CHECKING:
    from loom.project.config import LoomConfig
    from loom.views import Views
    from loom_quarantine.queries import RecordFilter

T = TypeVar("T")


async def ask(config: LoomConfig, question: Callable[[Views], Awaitable[T]]) -> T:
    """Return the answer of the run state to one question."""
    async with opened(config) as views:
        return await question(views)


@asynccontextmanager
async def opened(config: LoomConfig) -> AsyncIterator[Views]:
    """Open the run state of the configured mode. Raises `ConfigurationError` where a cluster's is not known."""
    from loom.views import open_views

    if config.distributed and not _is_known(config):
        raise ConfigurationError(
            "The cluster's run state is not known here. Name its database: `storage: {type: postgres, url: "
            "postgresql://...}` in loom.yaml, or LOOM_STATE_URL in the environment."
        )
    async with open_views(config) as views:
        yield views


def _is_known(config: LoomConfig) -> bool:
    """Tell whether the run state of a cluster is known here."""
    return not config.settings().state.url.get_secret_value().startswith("sqlite:")


LATEST = "latest"
"""Means the newest run, where a run is named."""


async def named_run(config: LoomConfig, run_id: str | None) -> str:
    """Return the id of the run that is named: of the newest where none is, or `latest`. Raises `ConfigurationError`
    where there is none yet."""
    return await newest_run(config) if run_id in (None, LATEST) else str(run_id)


def meant_pipelines(config: LoomConfig) -> frozenset[str] | None:
    """Return the pipelines whose runs are meant where none is named: those of the project, where others use the same
    run state; None for all."""
    if not config.distributed:
        return None
    from loom.project import catalog

    return frozenset(entry.name for entry in catalog.entries(config)) or None


async def newest_run(config: LoomConfig) -> str:
    """Return the id of the run that was started last. Raises `ConfigurationError` where there is none."""
    among = meant_pipelines(config)
    if newest := await ask(config, lambda views: views.history(None, 1, among)):
        return newest[0].run_id
    raise ConfigurationError(no_run_yet(config, among))


def no_run_yet(config: LoomConfig, among: frozenset[str] | None = None) -> str:
    """Say that there is no run, of the pipelines `among` which it was looked for, where, and how there comes to be
    one."""
    if among is None:
        return f"There is no run yet in {place(config)}. `loom run FILE` starts one."
    return (
        f"There is no run yet of this project's pipelines in {place(config)}. `loom run FILE` starts one, and `loom "
        "history --all` lists those of other projects."
    )


async def refuse_unknown(config: LoomConfig, run_id: str) -> None:
    """Raise `ConfigurationError` where an embedded run is not known here. Of a cluster's, its coordinator says so."""
    if not config.distributed and await ask(config, lambda views: views.row(run_id)) is None:
        raise no_run(config, run_id)


async def stream_of(config: LoomConfig, name: str) -> str | None:
    """Return the stream of this id, or the one that a run is a window of; None for any other run. Raises
    `ConfigurationError` where there is neither."""
    async with opened(config) as views:
        if name.startswith(STREAM_PREFIX):
            if await views.stream(name) is None:
                raise no_run(config, name)
            return name
        run = await views.row(name)
        if run is None:
            raise no_run(config, name)
        return run.stream if run.replay_of is None else None


async def stream_meant(config: LoomConfig, name: str) -> str | None:
    """Return the stream of this id, or the one that a run is a window of; None for any other run. Where a cluster's run
    state is not known here, its coordinator knows what there is. Raises as `stream_of` does."""
    if not config.distributed or _is_known(config):
        return await stream_of(config, name)
    return name if name.startswith(STREAM_PREFIX) else None


async def refuse_other(config: LoomConfig, run_id: str | None, pipeline: str | None) -> None:
    """Raise `NotFound` where a run is named that is not known here, and `ConfigurationError` where it is not one of the
    pipeline named."""
    if run_id is not None:
        await ask(config, lambda views: views.known(run_id, pipeline))


async def no_record(config: LoomConfig, meant: RecordFilter, flags: str) -> ConfigurationError:
    """Return the error for options that match no record: what was looked for, where, and how to find others."""
    from loom.cli.options.quarantine_filters import options_of
    from loom_quarantine.queries import RecordFilter

    run_id = str(meant.run_id)
    async with opened(config) as views:
        if await views.row(run_id) is None:
            return no_run(config, run_id)
        kept = await views.quarantined_number(RecordFilter(run_id=run_id))
    wanted = ["is unresolved"] if meant.unresolved else []
    wanted += [f"matches {options}"] if (options := options_of(meant)) else []
    which = f" that {' and '.join(wanted)}" if kept and wanted else ""
    if kept:
        remedy = f"`loom quarantine list --run-id {run_id}{flags}` lists the {counted(kept, 'record')} kept back there."
    else:
        remedy = f"`loom status {run_id}{flags}` shows what became of the run's records."
    return ConfigurationError(f"Run {run_id} has no quarantined record{which} in {place(config)}. {remedy}")
