"""Makes records of several customers whose sequence matters, and a model that tells whether it is kept."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, closing
from typing import Any

import aio_pika
from aiohttp import web

from loom_ai.simulated.conversation import SimulatedRequest
from loom_ai.simulated.formats import Format
from support.cluster import Cluster
from support.cluster_streams import ClusterStream, stream_on
from support.projects import Project, ai
from support.queues import message
from support.simulated_model import SimulatedModel

CUSTOMERS = 3
SECTIONS: Mapping[str, Any] = {"order_by": "customer", "batch": {"size": 6, "wait": "20ms"}}


def records(numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Return a record for each number; those of one customer have the numbers `n` 0, 1, 2 ..."""
    return [{"id": f"t{each:05}", "customer": each % CUSTOMERS, "n": each // CUSTOMERS} for each in numbers]


def asking(model: SimulatedModel) -> dict[str, Any]:
    """Return a transform that asks the model about each record."""
    prompt = "{{ input.customer }} {{ input.n }}"
    return ai(model.base_url, prompt=prompt, output={"mood": {"enum": ["good", "bad"]}}, cache={"enabled": False})


def sequences(rows: Iterable[tuple[Any, Any]]) -> dict[int, list[int]]:
    """Return the numbers of each customer, in the order of the rows."""
    found = defaultdict[int, list[int]](list)
    for customer, number in rows:
        found[int(customer)].append(int(number))
    return dict(found)


def expected(count: int) -> dict[int, list[int]]:
    """Return the numbers of each customer of so many records."""
    return sequences((each["customer"], each["n"]) for each in records(range(count)))


def loaded(made: Project) -> dict[int, list[int]]:
    """Return the numbers of each customer in the order in which their rows were written."""
    if not made.path("out.db").exists():
        return {}
    with closing(sqlite3.connect(made.path("out.db"), timeout=10)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 't'").fetchone():
            return {}
        return sequences(database.execute("SELECT customer, n FROM t ORDER BY rowid").fetchall())


class ObservingModel(SimulatedModel):
    """Answers later records of a customer sooner, and notes which it was asked about, and how many of one customer at
    the same time."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.questions: list[tuple[int, int]] = []
        self.together = 0
        self._at_work = Counter[int]()

    async def _answer(self, wire: Format, call: SimulatedRequest) -> web.Response:
        customer, number = map(int, call.question.split())
        self.questions.append((customer, number))
        self._at_work[customer] += 1
        self.together = max(self.together, self._at_work[customer])
        await asyncio.sleep(0.02 if number % 2 == 0 else 0)
        try:
            return await super()._answer(wire, call)
        finally:
            self._at_work[customer] -= 1


def messages(numbers: Iterable[int]) -> list[aio_pika.Message]:
    """Return the records as messages."""
    return [message(each, each["id"]) for each in records(numbers)]


@asynccontextmanager
async def ordered_on(cluster: Cluster, model: SimulatedModel, name: str) -> AsyncIterator[ClusterStream]:
    """Open a stream into a table whose column `place` numbers its rows as they are written."""
    columns = "place bigserial, id text, customer bigint, n bigint, mood text"
    await cluster.rows(f"CREATE TABLE {name} ({columns})")
    load = {"destination": f"${{RESULTS}}?table={name}", "mode": "append", "include": ["customer", "n"]}
    async with stream_on(cluster, name, transform=asking(model), load=load, **SECTIONS) as stream:
        yield stream


async def loaded_on(cluster: Cluster, table: str) -> dict[int, list[int]]:
    """Return the numbers of each customer in the order in which their rows were written."""
    rows = await cluster.rows(f"SELECT customer, n FROM {table} ORDER BY place")
    return sequences((row["customer"], row["n"]) for row in rows)
