"""Gives the ports of model calls their adapters; this is the composition root of this package. Nothing connects before
the first call."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from loom_ai.batches.execution import BatchExecution
from loom_ai.batches.requests.store import BatchStore
from loom_ai.budget.ledger import BudgetLedger
from loom_ai.budget.prices import Prices
from loom_ai.budget.reservations import BudgetReservations
from loom_ai.journal.claims import Claims
from loom_ai.journal.models import JournalledModels
from loom_ai.journal.single_flight import SingleFlight
from loom_ai.pacing.buckets import Buckets
from loom_ai.pacing.fallback import FallingBack
from loom_ai.ports import BatchAnswers, Journal, ModelCall, ModelClient
from loom_ai.providers.first_call import FirstCallClient
from loom_ai.recordings.in_use import answers_are_recorded, through_recorder
from loom_ai.settings import BatchSettings, BudgetSettings, ModelSettings
from loom_ai.stores.sealed import SealedClaims, SealedJournal
from loom_common.config.credentials import Credentials
from loom_common.config.settings import Settings
from loom_common.domain.definition.streams.api_source import inbox_of
from loom_common.domain.values.urls import redacted
from loom_common.errors import ConfigurationError
from loom_common.ports.clock import Clock
from loom_common.ports.group_members import GroupMembers
from loom_common.ports.inbox import Inbox
from loom_common.ports.joined_tables import JoinedTables
from loom_common.ports.marks import Marks
from loom_common.ports.received_pages import ReceivedPages
from loom_common.ports.seen_values import SeenValues
from loom_common.resilience.breakers import Breakers
from loom_common.sealing.keyring import Keyring

if TYPE_CHECKING:
    from loom_ai.batches.owner import Owner


def open_models(
    journal: Journal,
    credentials: Credentials | None = None,
    clock: Clock | None = None,
    settings: ModelSettings | None = None,
    breakers: Breakers | None = None,
    budgets: BudgetLedger | None = None,
    buckets: Buckets | None = None,
    claims: Claims | None = None,
    keyring: Keyring | None = None,
    batches: BatchAnswers | None = None,
    reservations: BudgetReservations | None = None,
) -> JournalledModels:
    """Open models behind `journal`, within `budgets`; all are closed with them. Without budgets, a run that has one
    fails; without claims, equal questions are asked once in each process; without a keyring, nothing sensitive is
    asked; without `batches`, every call is asked directly. `reservations` are those that `batches` keep, in place of
    `budgets`."""
    keyring = keyring or Keyring((), credentials or Credentials())
    journal = SealedJournal(journal, keyring)
    claims = None if claims is None else SealedClaims(claims, keyring)
    settings = settings or ModelSettings()

    def client() -> ModelClient:
        from loom_ai.providers.http_client import HttpModelClient

        return HttpModelClient(settings, credentials, clock, breakers=breakers, buckets=buckets)

    prices = Prices()
    if reservations is None and budgets is not None:
        reservations = BudgetReservations(budgets, prices, clock)
    fleet = None if claims is None else SingleFlight(claims, clock)
    asked = through_recorder(FirstCallClient(client))
    return JournalledModels(asked, journal, prices, clock, settings.concurrency, reservations, fleet, batches)


def open_batches(
    settings: Settings,
    journal: Journal,
    reservations: BudgetReservations,
    credentials: Credentials,
    clock: Clock,
) -> BatchExecution | None:
    """Open what has calls answered by the batches of their providers, in the database of the budgets. None where
    answers are recorded, or come from a recording. Nothing connects before the first such call."""
    if answers_are_recorded():
        return None
    times, url = BatchSettings(), settings.budgets
    store = _batch_store(url, settings)

    def owner() -> Owner:
        from loom_ai.batches.forms import Forms
        from loom_ai.batches.owner import Owner
        from loom_ai.batches.reading import Reading
        from loom_ai.batches.requests.client import BatchClient, Sessions
        from loom_ai.batches.submission import Submission

        sessions, forms = Sessions(), Forms()

        def client(call: ModelCall) -> BatchClient:
            return BatchClient(sessions, credentials, clock, call, times.submit_seconds)

        submission = Submission(store, journal, reservations, forms, client, clock, times)
        reading = Reading(store, journal, reservations, Prices(), forms, submission, client, clock)
        return Owner(store, submission, reading, sessions, clock, times)

    return BatchExecution(store, owner, reservations, clock)


def _batch_store(url: str, settings: Settings) -> BatchStore:
    from loom_ai.stores.sql.batches.store import SqlBatches

    if url.startswith("sqlite:"):
        from loom_ai.stores.sql.sqlite import sqlite_engine

        path = settings.project_dir.resolve() / url.removeprefix("sqlite:///")
        return SqlBatches(sqlite_engine(path, survives_power_cuts=True), str(path))
    from loom_ai.stores.sql.postgres import postgres_engine

    return SqlBatches(postgres_engine(url), redacted(url))


def open_budgets(settings: Settings) -> BudgetLedger:
    """Open the ledger of budgets, in the database that all replicas share."""
    from loom_ai.stores.sql.budgets import SqlBudgets

    url, lease = settings.budgets, BudgetSettings().lease_seconds
    if url.startswith("sqlite:"):
        from loom_ai.stores.sql.sqlite import sqlite_engine

        path = settings.project_dir.resolve() / url.removeprefix("sqlite:///")
        return SqlBudgets(sqlite_engine(path), str(path), lease=lease)
    from loom_ai.stores.sql.postgres import postgres_engine

    return SqlBudgets(postgres_engine(url), redacted(url), lease=lease)


def open_seen_values(settings: Settings) -> SeenValues:
    """Open the store of the values that unique checks compare, in the database of the budgets."""
    from loom_ai.stores.sql.seen_values import SqlSeenValues

    url = settings.budgets
    if url.startswith("sqlite:"):
        from loom_ai.stores.sql.sqlite import sqlite_engine

        path = settings.project_dir.resolve() / url.removeprefix("sqlite:///")
        return SqlSeenValues(sqlite_engine(path), str(path))
    from loom_ai.stores.sql.postgres import postgres_engine

    return SqlSeenValues(postgres_engine(url), redacted(url))


def open_received_pages(settings: Settings) -> ReceivedPages:
    """Open the store of the messages that runs have taken from queues, in the database of the budgets."""
    from loom_ai.stores.sql.received_pages import SqlReceivedPages

    url = settings.budgets
    if url.startswith("sqlite:"):
        from loom_ai.stores.sql.sqlite import sqlite_engine

        path = settings.project_dir.resolve() / url.removeprefix("sqlite:///")
        return SqlReceivedPages(sqlite_engine(path, survives_power_cuts=True), str(path))
    from loom_ai.stores.sql.postgres import postgres_engine

    return SqlReceivedPages(postgres_engine(url), redacted(url))


def open_inbox(settings: Settings, pipeline: str, location: str, keyring: Keyring | None = None) -> Inbox:
    """Open the inbox of a pipeline whose source has this location, in the database of the budgets. Its records are
    encrypted where a `keyring` is given."""
    from loom_ai.stores.sql.inbox import SqlInbox

    url, name = settings.budgets, inbox_of(pipeline, location)
    if url.startswith("sqlite:"):
        from loom_ai.stores.sql.sqlite import sqlite_engine

        path = settings.project_dir.resolve() / url.removeprefix("sqlite:///")
        inbox = SqlInbox(sqlite_engine(path, survives_power_cuts=True), str(path), name)
    else:
        from loom_ai.stores.sql.postgres import postgres_engine

        inbox = SqlInbox(postgres_engine(url), redacted(url), name)
    if keyring is None:
        return inbox
    from loom_common.sealing.inbox import SealedInbox

    return SealedInbox(inbox, keyring, pipeline)


def received_at(settings: Settings) -> str:
    """Name the store of the messages that runs have taken, by some digits: the same for all processes that share it,
    and others for another one."""
    url = settings.budgets
    here = f"{socket.gethostname()}:{settings.project_dir.resolve()}:"
    place = here + url if url.startswith("sqlite:") else redacted(url)
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def open_group_members(settings: Settings) -> GroupMembers:
    """Open the store of the records that steps have grouped, in the database of the budgets."""
    from loom_ai.stores.sql.group_members import SqlGroupMembers

    url = settings.budgets
    if url.startswith("sqlite:"):
        from loom_ai.stores.sql.sqlite import sqlite_engine

        path = settings.project_dir.resolve() / url.removeprefix("sqlite:///")
        return SqlGroupMembers(sqlite_engine(path, survives_power_cuts=True), str(path))
    from loom_ai.stores.sql.postgres import postgres_engine

    return SqlGroupMembers(postgres_engine(url), redacted(url))


def open_joined_tables(settings: Settings) -> JoinedTables:
    """Open the store of the other sources that steps join with, in the database of the budgets."""
    from loom_ai.stores.joined.sql import SqlJoinedTables

    url = settings.budgets
    if url.startswith("sqlite:"):
        from loom_ai.stores.sql.sqlite import sqlite_engine

        path = settings.project_dir.resolve() / url.removeprefix("sqlite:///")
        return SqlJoinedTables(sqlite_engine(path), str(path))
    from loom_ai.stores.sql.postgres import postgres_engine

    return SqlJoinedTables(postgres_engine(url), redacted(url))


def open_journal(url: str, folder: Path | None = None) -> Journal:
    """Open the journal that `url` names; a relative SQLite path starts at `folder`.

    `sqlite:///path`, `postgresql://...`, `redis://...` or `memory://`. Raises `ConfigurationError` for another."""
    scheme = url.split(":", 1)[0]
    match scheme:
        case "memory":
            from loom_ai.stores.memory.journal import MemoryJournal

            return MemoryJournal()
        case "sqlite":
            from loom_ai.stores.sql.sqlite import open_sqlite

            return open_sqlite((folder or Path()) / url.removeprefix("sqlite:///"))
        case "postgres" | "postgresql":
            from loom_ai.stores.sql.postgres import open_postgres

            return open_postgres(url)
        case "redis" | "rediss":
            from loom_ai.stores.redis.journal import RedisJournal

            return RedisJournal(url)
        case _:
            raise _unknown(scheme)


def open_buckets(url: str, folder: Path | None = None) -> Buckets | None:
    """Open the store of the limits that all workers share, beside the journal that `url` names; None for its own in
    each. Raises `ConfigurationError` as `open_journal` does."""
    scheme = url.split(":", 1)[0]
    match scheme:
        case "memory":
            return None
        case "sqlite":
            from loom_ai.stores.sql.buckets import SqlBuckets
            from loom_ai.stores.sql.sqlite import sqlite_engine

            path = (folder or Path()) / url.removeprefix("sqlite:///")
            return FallingBack(SqlBuckets(sqlite_engine(path), str(path)))
        case "postgres" | "postgresql":
            from loom_ai.stores.sql.buckets import SqlBuckets
            from loom_ai.stores.sql.postgres import postgres_engine

            return FallingBack(SqlBuckets(postgres_engine(url), redacted(url)))
        case "redis" | "rediss":
            from loom_ai.stores.redis.buckets import RedisBuckets

            return FallingBack(RedisBuckets(url))
        case _:
            raise _unknown(scheme)


def open_claims(url: str) -> Claims | None:
    """Open the store by which the processes of a fleet agree on who asks, beside the journal that `url` names. None
    where the journal is one process's own. Raises `ConfigurationError` as `open_journal` does."""
    scheme = url.split(":", 1)[0]
    match scheme:
        case "memory" | "sqlite":
            return None
        case "postgres" | "postgresql":
            from loom_ai.stores.sql.claims import SqlClaims
            from loom_ai.stores.sql.postgres import postgres_engine

            return SqlClaims(postgres_engine(url), redacted(url))
        case "redis" | "rediss":
            from loom_ai.stores.redis.claims import RedisClaims

            return RedisClaims(url)
        case _:
            raise _unknown(scheme)


def open_marks(url: str, folder: Path | None = None) -> Marks:
    """Open the marks that lie beside the journal that `url` names. Raises `ConfigurationError` as `open_journal`
    does."""
    scheme = url.split(":", 1)[0]
    match scheme:
        case "memory":
            from loom_ai.stores.memory.marks import MemoryMarks

            return MemoryMarks()
        case "sqlite":
            from loom_ai.stores.sql.marks import SqlMarks
            from loom_ai.stores.sql.sqlite import sqlite_engine

            path = (folder or Path()) / url.removeprefix("sqlite:///")
            return SqlMarks(sqlite_engine(path), str(path))
        case "postgres" | "postgresql":
            from loom_ai.stores.sql.marks import SqlMarks
            from loom_ai.stores.sql.postgres import postgres_engine

            return SqlMarks(postgres_engine(url), redacted(url))
        case "redis" | "rediss":
            from loom_ai.stores.redis.marks import RedisMarks

            return RedisMarks(url)
        case _:
            raise _unknown(scheme)


def _unknown(scheme: str) -> ConfigurationError:
    return ConfigurationError(
        f"The journal's address begins with '{scheme}:'; expected sqlite:///, postgresql://, redis:// or memory://. "
        "Set LOOM_JOURNAL_URL."
    )
