"""Reads what is written of a run, read from all the places where it is written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import column, func, select, table
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from loom_common.async_engine import AsyncConnection
from loom_common.config.credentials import Credentials
from loom_common.domain.run.tally import Tally
from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError, DependencyUnavailable
from loom_coordinator.accounting.batch import DONE
from loom_coordinator.db.outputs.rescorings import WITHDRAWN
from loom_coordinator.db.tables.outcomes import quarantined
from loom_coordinator.db.tables.work import batches
from loom_coordinator.lifecycle import staged_rows
from loom_coordinator.lifecycle.streams.compaction import is_compacted
from loom_coordinator.queries import runs
from loom_coordinator.queries.audit.rules import Books
from loom_migrations.engine import open_engine
from loom_migrations.reachable import cause_of

_FINALIZED = "finalize"
"""The ledger's row for the end of a run that replaced a table: it stands for no batch."""


async def books(connection: AsyncConnection, run_id: str, ledger: Mapping[str, int] | None) -> Books:
    """Return what is written of one run. Raises `ConfigurationError` where there is no such run."""
    run = await runs.find(connection, run_id)
    mine = batches.c.run_id == run_id
    compacted = await is_compacted(connection, run)
    first = batches.c.loaded - batches.c.second  # the ledger of the second destination is another one
    loaded = select(batches.c.batch_id, first).where(mine, first > 0)
    unfinished = select(func.count()).where(mine, batches.c.state != DONE)
    outcomes = (
        select(quarantined.c.outcome, func.count())
        .where(quarantined.c.run_id == run_id, quarantined.c.code != WITHDRAWN)
        .group_by(quarantined.c.outcome)
    )
    return Books(
        status=run.status,
        told=run.tally if run.completed_at else None,
        batches=run.tally if compacted and run.tally else await _added_up(connection, run_id),
        totals=run.tally if compacted and run.tally else run.totals.tally,
        placed=run.placed,
        dropped=staged_rows.given_up(run),
        unfinished=(await connection.execute(unfinished)).scalar_one(),
        kept={row[0]: row[1] for row in await connection.execute(outcomes)},
        unkept=await _unkept(connection, run_id),
        loaded={row[0]: row[1] for row in await connection.execute(loaded)},
        ledger=None if staged_rows.given_up(run) or compacted else ledger,
    )


async def _added_up(connection: AsyncConnection, run_id: str) -> Tally:
    sums = [func.coalesce(func.sum(batches.c[name]), 0).label(name) for name in Tally.model_fields]
    row = (await connection.execute(select(*sums).where(batches.c.run_id == run_id))).mappings().one()
    return Tally(**row)


async def _unkept(connection: AsyncConnection, run_id: str) -> int:
    """Count the batches that kept back more records than the quarantine holds of them."""
    there = (
        select(quarantined.c.batch_id, func.count().label("records"))
        .where(quarantined.c.run_id == run_id)
        .group_by(quarantined.c.batch_id)
        .subquery()
    )
    kept = batches.c.rejected + batches.c.skipped + batches.c.quarantined
    statement = (
        select(func.count())
        .select_from(batches.outerjoin(there, there.c.batch_id == batches.c.batch_id))
        .where(batches.c.run_id == run_id, kept > func.coalesce(there.c.records, 0))
    )
    count: int = (await connection.execute(statement)).scalar_one()
    return count


async def ledger(destination: str, run_id: str) -> dict[str, int]:
    """Return the number of records loaded by batch, as `loom_load_ledger` beside the destination's table says.

    Raises `ConfigurationError` for a URL that names no such ledger, `DependencyUnavailable`."""
    import asyncpg  # the only query that may connect to another database than that of the run state

    place = redacted(destination)
    credentials = Credentials()
    try:
        url = make_url(credentials.expand(destination, in_url=True))
    except ArgumentError:
        raise ConfigurationError(f"{place} is no URL. Expected postgres://... or sqlite:///...") from None
    if url.drivername not in ("postgres", "postgresql", "sqlite"):
        raise ConfigurationError(
            f"{place}: {url.drivername} has no load ledger. Expected postgres://... or sqlite:///..."
        )
    if url.drivername == "sqlite" and not _there(url.database):
        raise ConfigurationError(f"{place}: there is no such file.")
    target = str(url.query.get("table", ""))
    schema = target.rpartition(".")[0] or None
    entries = table("loom_load_ledger", *map(column, ("run_id", "batch_id", "loaded")), schema=schema)
    drivername = "sqlite" if url.drivername == "sqlite" else "postgresql"
    plain = url.set(drivername=drivername, query={}).render_as_string(hide_password=False)
    engine = open_engine(plain, reads=True, pool_size=1)
    statement = select(entries.c.batch_id, entries.c.loaded).where(entries.c.run_id == run_id, entries.c.loaded > 0)
    try:
        async with engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
    except (asyncpg.PostgresError, OSError, TimeoutError) as error:
        raise DependencyUnavailable(
            f"{place} cannot be read: {cause_of(engine.url, error)}. See that the server runs there, and that the "
            "address, the user and the password of the destination are right."
        ) from error
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", error)).splitlines()[0]
        raise ConfigurationError(f"{place}: its loom_load_ledger cannot be read: {cause}") from error
    finally:
        await engine.dispose()
    return {batch: loaded for batch, loaded in rows if batch != _FINALIZED}


def _there(path: str | None) -> bool:
    """To open a SQLite file that is not there makes one."""
    return bool(path) and Path(str(path)).is_file()
