"""Has questions answered by the batches of a simulated provider, with processes that come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from loom_ai.budget.prices import Prices
from loom_ai.budget.reservations import BudgetReservations
from loom_ai.compose import open_batches, open_models
from loom_ai.journal.models import JournalledModels
from loom_ai.journal.settled import Settled
from loom_ai.ports import ChatMessage, ModelCall, Payer
from loom_ai.stores.beside_budgets import open_budgets
from loom_ai.stores.beside_journal import open_journal
from loom_common.adapters.memory.queue import MemoryQueue
from loom_common.config.credentials import Credentials
from loom_common.config.settings import JournalSettings, Settings
from loom_common.errors import AnswersPending
from loom_common.ports.clock import Clock, SystemClock
from loom_common.worker.usage import Usage
from loom_dev.waiting import within
from support.simulated_model import SimulatedModel

RUN = "run_1"
PROVIDERS = ("openai", "anthropic", "google")
TIMES = {"POLL": 0.02, "GATHER": 0.05, "LEASE": 0.5, "SUBMIT": 0.3}


def quick(monkeypatch, **other: float) -> None:
    """Let batches be looked after within fractions of a second."""
    for name, seconds in (TIMES | other).items():
        monkeypatch.setenv(f"LOOM_BATCHES_{name}_SECONDS", str(seconds))


def come_again_soon(monkeypatch) -> None:
    """Let messages of embedded runs that wait for a batch come again within a fraction of a second, and tell each time
    how far the batch is."""
    begin = MemoryQueue.__init__

    def shorter(queue: MemoryQueue, name: str, *, ttl: float | None, **more: Any) -> None:
        begin(queue, name, ttl=None if ttl is None else ttl / 50, **more)

    monkeypatch.setattr(MemoryQueue, "__init__", shorter)
    monkeypatch.setattr("loom_common.worker.recovery.TELL_EVERY_SECONDS", 0.1)
    monkeypatch.setattr("loom_ai.batches.execution._TOLD_SECONDS", 0.1)


@asynccontextmanager
async def process(url: str, folder: Path, clock: Clock | None = None):
    """Open the models of one process, with a journal and what waits for batches in the database at `url`."""
    settings = Settings(project_dir=folder, journal=JournalSettings(url=url))
    clock = clock or SystemClock()
    journal, credentials = open_journal(url, folder), Credentials()
    reservations = BudgetReservations(open_budgets(settings), Prices())
    batches = open_batches(settings, journal, reservations, credentials, clock)
    models = open_models(journal, credentials, clock, reservations=reservations, batches=batches)
    models.execution = batches.opened()
    try:
        yield models
    finally:
        await models.close()


def paid_once(model: SimulatedModel, count: int) -> bool:
    """Tell whether so many questions are answered, each paid for once, and no other one."""
    return len(model.batches.paid) == count and set(model.batches.paid.values()) == {1} and model.answered == count


def question(model, number: int, provider: str = "openai", *, deadline: float | None = 3600.0, **more) -> ModelCall:
    """Return the question of one record. Without a deadline it is asked directly."""
    base_url = model.base_url if provider != "google" else f"{model.root_url}/v1beta"
    names = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5", "google": "gemini-2.0-flash"}
    return ModelCall(
        model=names[provider],
        provider=provider,
        base_url=base_url,
        messages=(ChatMessage("user", f"What is the mood of review {number}?"),),
        api_key=more.pop("api_key", ""),
        batch_deadline=deadline,
        **more,
    )


async def ask_once(models: JournalledModels, calls: Sequence[ModelCall], usage: Usage | None = None, run: str = RUN):
    """Ask as one visit of a batch of records does: for each what it brings, or the error that it raises."""
    payers = [Payer(run, f"r{number}", usage) for number in range(len(calls))]
    asked = (models.complete(call, payer) for call, payer in zip(calls, payers, strict=True))
    return await asyncio.gather(*asked, return_exceptions=True)


async def answered(
    models: JournalledModels,
    calls: Sequence[ModelCall],
    usage: Usage | None = None,
    run: str = RUN,
    seconds: float = 10.0,
) -> list[Settled]:
    """Come again until every question is answered. Raises what is raised instead of an answer."""
    async with within(seconds):
        while True:
            brought = await ask_once(models, calls, usage, run)
            if not any(isinstance(each, AnswersPending) for each in brought):
                for each in brought:
                    if isinstance(each, BaseException):
                        raise each
                return brought
            await asyncio.sleep(0.03)
