"""Opens the stores that lie in the database of the budgets: a SQLite file of the project, or the Postgres that all
replicas share. Nothing connects before the first use."""

from __future__ import annotations

import hashlib
import socket
from typing import TYPE_CHECKING

from loom_ai.settings import BudgetSettings
from loom_common.domain.definition.streams.api_source import inbox_of
from loom_common.domain.values.urls import redacted

if TYPE_CHECKING:
    from loom_ai.batches.requests.store import BatchStore
    from loom_ai.budget.ledger import BudgetLedger
    from loom_common.async_engine import AsyncEngine
    from loom_common.config.settings import Settings
    from loom_common.ports.group_members import GroupMembers
    from loom_common.ports.inbox import Inbox
    from loom_common.ports.joined_tables import JoinedTables
    from loom_common.ports.received_pages import ReceivedPages
    from loom_common.ports.seen_values import SeenValues
    from loom_common.sealing.keyring import Keyring


def _database(settings: Settings, *, survives_power_cuts: bool = False) -> tuple[AsyncEngine, str]:
    """Return an engine on the database, and the words that messages name it by. Postgres always survives power
    cuts."""
    url = settings.budgets
    if url.startswith("sqlite:"):
        from loom_ai.stores.sql.sqlite import sqlite_engine

        path = settings.project_dir.resolve() / url.removeprefix("sqlite:///")
        return sqlite_engine(path, survives_power_cuts=survives_power_cuts), str(path)
    from loom_ai.stores.sql.postgres import postgres_engine

    return postgres_engine(url), redacted(url)


def open_budgets(settings: Settings) -> BudgetLedger:
    """Open the ledger of budgets."""
    from loom_ai.stores.sql.budgets import SqlBudgets

    return SqlBudgets(*_database(settings), lease=BudgetSettings().lease_seconds)


def open_batch_store(settings: Settings) -> BatchStore:
    """Open the store of the calls that batches of providers answer."""
    from loom_ai.stores.sql.batches.store import SqlBatches

    return SqlBatches(*_database(settings, survives_power_cuts=True))


def open_seen_values(settings: Settings) -> SeenValues:
    """Open the store of the values that unique checks compare."""
    from loom_ai.stores.sql.seen_values import SqlSeenValues

    return SqlSeenValues(*_database(settings))


def open_received_pages(settings: Settings) -> ReceivedPages:
    """Open the store of the messages that runs have taken from queues."""
    from loom_ai.stores.sql.received_pages import SqlReceivedPages

    return SqlReceivedPages(*_database(settings, survives_power_cuts=True))


def received_at(settings: Settings) -> str:
    """Name the store of the messages that runs have taken, by some digits: the same for all processes that share it,
    and others for another one."""
    url = settings.budgets
    here = f"{socket.gethostname()}:{settings.project_dir.resolve()}:"
    place = here + url if url.startswith("sqlite:") else redacted(url)
    return hashlib.sha256(place.encode("utf-8", "surrogateescape")).hexdigest()[:12]


def open_inbox(settings: Settings, pipeline: str, location: str, keyring: Keyring | None = None) -> Inbox:
    """Open the inbox of a pipeline whose source has this location. Its records are encrypted where a `keyring` is
    given."""
    from loom_ai.stores.sql.inbox import SqlInbox

    inbox = SqlInbox(*_database(settings, survives_power_cuts=True), inbox_of(pipeline, location))
    if keyring is None:
        return inbox
    from loom_common.sealing.inbox import SealedInbox

    return SealedInbox(inbox, keyring, pipeline)


def open_group_members(settings: Settings) -> GroupMembers:
    """Open the store of the records that steps have grouped."""
    from loom_ai.stores.sql.group_members import SqlGroupMembers

    return SqlGroupMembers(*_database(settings, survives_power_cuts=True))


def open_joined_tables(settings: Settings) -> JoinedTables:
    """Open the store of the other sources that steps join with."""
    from loom_ai.stores.joined.sql import SqlJoinedTables

    return SqlJoinedTables(*_database(settings))
