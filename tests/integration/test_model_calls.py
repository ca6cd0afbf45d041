"""Tests model calls over the wire: a simulated server on loopback, real journals, real crashes."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import sqlalchemy as sa

from loom_ai.answers.shape import Shape
from loom_ai.answers.structured_output import ask
from loom_ai.compose import open_models
from loom_ai.journal.models import JournalledModels
from loom_ai.journal.tables import journal as table
from loom_ai.journal.tables import metadata
from loom_ai.journal.usage import NOTHING
from loom_ai.ports import Payer
from loom_ai.providers.http_client import HttpModelClient
from loom_ai.settings import ModelSettings
from loom_ai.stores.beside_journal import open_journal
from loom_ai.stores.memory.journal import MemoryJournal
from loom_common.config.credentials import Credentials
from loom_common.config.secrets.environment import EnvProvider
from loom_common.errors import (
    AccessRefused,
    DependencyUnavailable,
    PermanentError,
    RecordError,
    Timeout,
)
from loom_dev.backends.ports import reserve_port
from support import asking_process
from support.scripted_model import call_of
from support.simulated_model import SimulatedModel, answer_for, simulated_process

SHAPE = Shape({"mood": {"enum": ["good", "bad"]}, "confidence": {"type": "number", "minimum": 0, "maximum": 1}})
SECRET = "sk-very-secret-1234"


class FastClock:
    """Waits for nothing, and remembers what it was asked to wait."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + sum(self.waits)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
def clock():
    return FastClock()


@pytest.fixture
async def server():
    async with SimulatedModel() as server:
        yield server


def _client(settings: ModelSettings, clock) -> HttpModelClient:
    return HttpModelClient(
        settings, Credentials({"env": EnvProvider({"OPENAI_API_KEY": SECRET})}), clock, jitter=lambda: 0.0
    )


@pytest.fixture
async def client(clock):
    client = _client(ModelSettings(total_timeout=0.5), clock)
    yield client
    await client.close()


@pytest.fixture
async def patient(clock):
    """Provide a client that gives up neither an answer that a busy machine delays, nor one that fails by chance."""
    client = _client(ModelSettings(attempts=10), clock)
    yield client
    await client.close()


async def test_an_answer_comes_with_its_tokens_and_latency(server, client):
    answer = await client.complete(call_of(base_url=server.base_url))
    assert answer.text == answer_for(None, "How is it?")
    assert (answer.tokens_in, answer.tokens_out) == (server.tokens_in, server.tokens_out)
    assert 0 < answer.latency < 5
    assert answer.finish_reason == "stop"


async def test_the_key_is_sent_and_the_default_one_may_stay_unset(server, client, clock):
    server.api_key = SECRET
    assert (await client.complete(call_of(base_url=server.base_url))).text
    server.api_key = None
    keyless = HttpModelClient(credentials=Credentials({"env": EnvProvider({})}), clock=clock)
    assert (await keyless.complete(call_of(base_url=server.base_url))).text
    await keyless.close()


async def test_a_wrong_key_is_said_with_its_credential_and_never_shown(server, client):
    server.api_key = "another"
    with pytest.raises(AccessRefused) as caught:
        await client.complete(call_of(base_url=server.base_url))
    assert "${OPENAI_API_KEY}" in str(caught.value)
    assert server.base_url in str(caught.value)
    assert SECRET not in str(caught.value)
    assert server.calls == 1


async def test_a_named_key_that_is_not_set_is_said_before_anything_is_asked(server, client):
    with pytest.raises(AccessRefused, match=r"\$\{MY_KEY\} is not set. Set the environment variable MY_KEY"):
        await client.complete(call_of(base_url=server.base_url, api_key="${MY_KEY}"))
    assert server.calls == 0


async def test_an_unknown_model_is_named(server, client):
    server.models = ["gpt-4o"]
    with pytest.raises(PermanentError, match=r"model gpt-4o-mini at .* is not there"):
        await client.complete(call_of(base_url=server.base_url))
    assert server.calls == 1


async def test_slow_down_is_obeyed(server, client, clock):
    server.faults.extend(["429", "429"])
    assert (await client.complete(call_of(base_url=server.base_url))).text
    assert (server.calls, clock.waits) == (3, [0.25, 0.5])  # no less than the 0.2 s asked for


@pytest.mark.parametrize("fault", ["429", "500"])
async def test_trouble_that_lasts_is_transient_and_names_the_place(server, client, clock, fault):
    server.faults.extend([fault] * 10)
    attempts = 9 if fault == "429" else 3
    words = f"gpt-4o-mini at {server.base_url}.*Gave up after {attempts} attempts"
    with pytest.raises(DependencyUnavailable, match=words) as e:
        await client.complete(call_of(base_url=server.base_url))
    assert (server.calls, len(clock.waits)) == (attempts, attempts - 1)
    assert e.value.retry_after == (0.2 if fault == "429" else None)


async def test_a_server_that_hangs_is_given_up_in_time(server, client):
    server.faults.extend(["hang"] * 3)
    with pytest.raises(Timeout, match=r"did not answer in time .*0\.5 s in all"):
        await client.complete(call_of(base_url=server.base_url))
    assert server.calls == 3


async def test_a_server_that_is_down_is_said_with_its_address(client, clock):
    url = f"http://127.0.0.1:{reserve_port()}/v1"
    with pytest.raises(DependencyUnavailable, match=f"{url} cannot be reached .*See that the server runs"):
        await client.complete(call_of(base_url=url))
    assert len(clock.waits) == 2


@pytest.mark.parametrize("url", ["not a url", "ftp://127.0.0.1/v1"])
async def test_an_address_that_is_none_is_said(client, url):
    with pytest.raises(PermanentError, match="no http"):
        await client.complete(call_of(base_url=url))


@pytest.mark.parametrize(
    ("taken", "refused_at_first", "system"),
    [(("json_schema", "json_object"), 0, False), (("json_object",), 1, True), ((), 2, True)],
)
async def test_the_strongest_form_an_endpoint_takes_is_found_and_remembered(
    server, client, taken, refused_at_first, system
):
    server.forms = taken
    for number in range(3):
        answer = await client.complete(call_of(f"q{number}", base_url=server.base_url, schema=SHAPE.schema))
        assert SHAPE.misfit(json.loads(answer.text)) is None
    assert server.calls == 3 + refused_at_first
    assert (server.bodies[-1]["messages"][0]["role"] == "system") is system


async def test_once_a_form_has_worked_a_refusal_is_the_records_own(server, client):
    call = call_of("q0", base_url=server.base_url, schema=SHAPE.schema)
    await client.complete(call)
    server.forms = ()
    with pytest.raises(RecordError) as caught:
        await client.complete(call)
    assert (caught.value.code, caught.value.details["status"], server.calls) == ("model_refused", 400, 2)


async def test_no_more_calls_are_in_flight_than_set(server):
    server.latency = 0.01
    models = open_models(MemoryJournal(), settings=ModelSettings(concurrency=5))
    calls = (models.complete(call_of(str(n), base_url=server.base_url), Payer("r", str(n))) for n in range(40))
    await asyncio.gather(*calls)
    await models.close()
    assert (server.calls, server.most_at_once) == (40, 5)


async def test_with_a_hostile_server_every_record_is_accounted_to_the_token(server, patient):
    server.rates = {"429": 0.05, "500": 0.05, "bad_json": 0.1, "truncated": 0.05, "refused": 0.05}
    models = JournalledModels(patient, MemoryJournal(), concurrency=20)
    replies = await asyncio.gather(
        *(
            ask(models, call_of(f"q{n}", base_url=server.base_url, schema=SHAPE.schema), Payer("r", str(n)), SHAPE)
            for n in range(300)
        )
    )
    spent = sum((reply.spent for reply in replies), NOTHING)
    assert (spent.calls_made, spent.tokens_in, spent.tokens_out) == (
        server.answered,
        server.tokens_in,
        server.tokens_out,
    )
    assert all((reply.output is None) is (reply.error is not None) for reply in replies)
    kinds = {reply.error.code for reply in replies if reply.error}
    assert {"truncated_output", "refused"} <= kinds <= {"truncated_output", "refused", "invalid_output"}
    for number, reply in enumerate(replies):
        assert reply.error or reply.output == answer_for(SHAPE.schema, f"q{number}")


def _sqlite(folder: Path) -> str:
    url = f"sqlite:///{folder}/journal.db"
    engine = sa.create_engine(url)
    metadata.create_all(engine)
    engine.dispose()
    return url


def _kept(url: str) -> set[str]:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        records = set(connection.execute(sa.select(table.c.record_id)).scalars())
    engine.dispose()
    return records


def _calls(base_url: str) -> int:
    with urllib.request.urlopen(base_url.replace("/v1", "/stats")) as response:
        return json.load(response)["calls"]


def test_after_a_kill_every_answer_that_was_used_is_in_the_journal(tmp_path):
    url, records = _sqlite(tmp_path), 200
    with simulated_process("--latency", "5ms") as base_url:
        command = [sys.executable, asking_process.__file__, base_url, url, str(records)]
        used: set[str] = set()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                used.add(line.split()[0])
                if len(used) == 60:
                    process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        kept = _kept(url)
        assert len(used) >= 60
        assert used <= kept
        calls = _calls(base_url)
        assert calls < records
        assert calls - len(kept) <= asking_process.AT_ONCE

        finished = subprocess.run(command, capture_output=True, text=True, check=True)
        assert len(finished.stdout.splitlines()) == records
        assert _calls(base_url) <= records + asking_process.AT_ONCE
        assert _kept(url) == {str(number) for number in range(records)}


async def test_losing_redis_costs_money_and_nothing_else(server, own_redis, capsys):
    models = open_models(open_journal(own_redis.url))
    call = call_of(base_url=server.base_url)
    await models.complete(call, Payer("r", "1"))
    assert (await models.complete(call, Payer("r", "1"))).spent.calls_made == 1
    assert server.calls == 1
    own_redis.kill()
    for _ in range(3):
        assert (await models.complete(call, Payer("r", "1"))).answer.text
    assert server.calls == 4
    await models.close()
    said = capsys.readouterr()
    assert (said.out + said.err).count("going on without it") == 1
