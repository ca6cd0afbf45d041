"""Gives the ports of model calls their adapters; this is the composition root of this package. Nothing connects before
the first call. `stores/beside_journal.py` and `stores/beside_budgets.py` open the stores."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from loom_ai.batches.first_use import BatchesAtFirstUse
from loom_ai.budget.ledger import BudgetLedger
from loom_ai.budget.prices import Prices
from loom_ai.budget.reservations import BudgetReservations
from loom_ai.journal.claims import Claims
from loom_ai.journal.models import JournalledModels
from loom_ai.journal.single_flight import SingleFlight
from loom_ai.pacing.buckets import Buckets
from loom_ai.ports import BatchAnswers, Journal, ModelCall, ModelClient
from loom_ai.providers.first_call import FirstCallClient
from loom_ai.recordings.in_use import answers_are_recorded, through_recorder
from loom_ai.settings import BatchSettings, ModelSettings
from loom_ai.stores.beside_budgets import open_batch_store
from loom_ai.stores.sealed import SealedClaims, SealedJournal
from loom_common.config.credentials import Credentials
from loom_common.config.settings import Settings
from loom_common.ports.clock import Clock
from loom_common.resilience.breakers import Breakers
from loom_common.sealing.keyring import Keyring

if TYPE_CHECKING:
    from loom_ai.batches.execution import BatchExecution
    from loom_ai.batches.owner import Owner
    from loom_ai.batches.requests.store import BatchStore


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
) -> BatchesAtFirstUse | None:
    """Open what has calls answered by the batches of their providers, in the database of the budgets. None where
    answers are recorded, or come from a recording. Nothing connects before the first such call."""
    if answers_are_recorded():
        return None
    times = BatchSettings()

    def execution() -> BatchExecution:
        from loom_ai.batches.execution import BatchExecution

        store = open_batch_store(settings)
        return BatchExecution(store, partial(owner, store), reservations, clock)

    def owner(store: BatchStore) -> Owner:
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

    return BatchesAtFirstUse(execution)
