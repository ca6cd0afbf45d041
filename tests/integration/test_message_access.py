"""Tests who may ask for what by messages: the coordinator's consumer in this process, over a state file."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select

from loom_common.adapters.memory.bus import MemoryBus
from loom_common.adapters.payloads.folder import FolderPayloads
from loom_common.adapters.wrapped.wrapped_bus import WrappedBus, WrappedSubscription
from loom_common.config.credentials import Credentials
from loom_common.contracts.v1 import DiscardRequest
from loom_common.errors import ConfigurationError, InvalidDefinition
from loom_common.flow import QUARANTINE_QUEUE, RUNS_QUEUE, TOPOLOGY
from loom_common.ports.bus import Wire
from loom_common.ports.clock import SystemClock
from loom_common.sealing.keyring import Keyring
from loom_coordinator.db import audit_log, streams
from loom_coordinator.db.audit_log import Act
from loom_coordinator.db.outbox_relay import OutboxRelay
from loom_coordinator.db.tables.runs import pipeline_runs, rejected_requests
from loom_coordinator.db.unit_of_work import begin
from loom_coordinator.intake.asking.permissions import Permissions
from loom_coordinator.intake.request_consumer import RequestConsumer
from loom_dev.waiting import within
from loom_migrations.engine import open_engine
from loom_migrations.upgrade import upgrade
from loom_quarantine.db import store
from support.quarantined import kept, message
from support.run_rows import DEFINITION, NOW, begun_run

POLICIES = """
access:
  policies:
    - {user_pattern: ops, resource_pattern: "runs/p", actions: [read, control], allow: true}
    - {user_pattern: starter, resource_pattern: "pipelines/p", actions: [run], allow: true}
    - {user_pattern: writer, resource_pattern: "pipelines/.*", actions: [run, register], allow: true}
    - {user_pattern: reader, resource_pattern: ".*/p", actions: [read], allow: true}
    - {user_pattern: discarder, resource_pattern: "(quarantine|runs)/p", actions: [read, discard], allow: true}
    - {user_pattern: replayer, resource_pattern: "(quarantine|runs)/p", actions: [read, replay], allow: true}
"""


class Named(WrappedBus):
    """Gives each delivery the user whom RabbitMQ would have checked."""

    async def subscribe(self, queue, prefetch):
        return NamedSubscription(await self._bus.subscribe(queue, prefetch))


class NamedSubscription(WrappedSubscription):
    """Takes the user from a header."""

    async def __aiter__(self):
        async for delivery in self._subscription:
            delivery.user_id = delivery.headers.get("user")
            yield delivery


class Asking:
    """Asks the coordinator as users of a broker."""

    def __init__(self, bus, queue, answers, engine):
        self.bus, self.queue, self.answers, self.engine = bus, queue, aiter(answers), engine

    async def ask(self, user, verb, **said):
        headers = {} if user is None else {"user": user}
        body = json.dumps(said).encode()
        await self.bus.publish([Wire("loom.runs", f"run.{verb}", body, reply_to=self.queue, headers=headers)])
        delivery = await anext(self.answers)
        await delivery.ack()
        return delivery.type.split(".")[2], json.loads(delivery.body)

    async def audit(self):
        async with self.engine.connect() as connection:
            lines = await audit_log.page(connection, None, 20)
        return [(each.user, each.action, each.resource, each.outcome) for each in lines]

    async def status(self):
        async with self.engine.connect() as connection:
            return (await connection.execute(select(pipeline_runs.c.status))).scalars().all()


@asynccontextmanager
async def asking(tmp_path, policies=POLICIES):
    engine = open_engine(f"sqlite:///{tmp_path}/loom.db")
    await upgrade(engine)
    async with begun_run(engine):
        pass
    (tmp_path / "loom.yaml").write_text(policies)
    permissions = Permissions.read(tmp_path / "loom.yaml" if policies else None, ["services"])
    bus, stop = MemoryBus(), asyncio.Event()
    await bus.declare(TOPOLOGY)
    relay = OutboxRelay(engine, bus, SystemClock(), None)
    payloads = FolderPayloads(tmp_path / "payloads")
    consumer = RequestConsumer(
        Named(bus), relay, payloads, Keyring((), Credentials()), every_hop=False, permissions=permissions
    )
    queue = await bus.temporary_queue()
    async with within(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(consumer.run(stop))
        tasks.create_task(relay.run(stop))
        try:
            yield Asking(bus, queue, await bus.subscribe(queue, prefetch=1), engine)
        finally:
            stop.set()
    await bus.close()
    await engine.dispose()


async def test_a_command_is_carried_out_for_the_broker_s_user_whom_policies_allow_it_and_noted_with_it(tmp_path):
    async with asking(tmp_path) as asks:
        kind, said = await asks.ask("reader", "pause", run_id="run_1", requested_by="ops")
        assert (kind, said["error"]) == ("rejected", "reader may not control runs/p.")
        kind, said = await asks.ask("starter", "cancel", run_id="run_1")
        assert (kind, "There is no run run_1" in said["error"]) == ("rejected", True)
        assert await asks.ask("starter", "cancel", run_id="run_9") == (
            kind, {**said, "error": said["error"].replace("run_1", "run_9")}
        )  # fmt: skip
        kind, said = await asks.ask(None, "cancel", run_id="run_1")
        assert (kind, "Set the property `user_id`" in said["error"]) == ("rejected", True)
        assert await asks.status() == ["running"]
        assert (await asks.ask("ops", "pause", run_id="run_1"))[0] == "accepted"
        assert await asks.status() == ["paused"]
        assert await asks.audit() == [
            ("ops", "pause", "runs/p", "done"),
            ("", "cancel", "runs/p", "denied"),
            ("starter", "cancel", "runs/", "denied"),
            ("starter", "cancel", "runs/p", "denied"),
            ("reader", "pause", "runs/p", "denied"),
        ]


async def test_a_stream_is_commanded_by_those_who_may_control_the_runs_of_its_pipeline(tmp_path):
    stream = "stream_0123456789ab"
    async with asking(tmp_path) as asks:
        async with begin(asks.engine, NOW, None) as unit:
            row = {"stream_id": stream, "pipeline_name": "p", "source": "in", "state": "running", "opened_at": NOW}
            row |= {"number": 1, "closed": False, "plan": "plan", "template": {}, "every": 60.0, "records": 10}
            assert await streams.enter(unit, row)
        kind, said = await asks.ask("reader", "drain", run_id=stream)
        assert (kind, said["error"]) == ("rejected", "reader may not control runs/p.")
        kind, said = await asks.ask("ops", "drain", run_id=stream)
        assert (kind, said["stream"], said["status"]) == ("accepted", stream, "draining")
        kind, said = await asks.ask("ops", "drain", run_id="stream_of_nobody")
        assert (kind, "There is no run stream_of_nobody" in said["error"]) == ("rejected", True)


async def test_a_run_is_started_for_its_true_user_and_a_definition_of_ones_own_needs_more(tmp_path):
    async with asking(tmp_path) as asks:
        async with asks.engine.begin() as connection:
            from loom_coordinator.db.tables.runs import pipelines

            await connection.execute(pipelines.update().values(definition=DEFINITION))
        assert (await asks.ask("reader", "request", pipeline="p"))[0] == "rejected"
        own = {**DEFINITION, "transform": {"type": "python", "function": "evil:code"}}
        kind, said = await asks.ask("starter", "request", definition=own)
        assert (kind, said["error"]) == ("rejected", "starter may not register pipelines/p.")
        assert (await asks.ask("starter", "register", definition=own))[0] == "rejected"
        kind, said = await asks.ask("writer", "request", pipeline="q")
        assert (kind, said["mistakes"][0]["expected"]) == ("rejected", "a registered pipeline")  # p may not be seen
        kind, said = await asks.ask("starter", "request", pipeline="p", requested_by="root")
        assert kind == "accepted", said
        async with asks.engine.connect() as connection:
            by = select(pipeline_runs.c.requested_by).where(pipeline_runs.c.run_id == said["run_id"])
            assert (await connection.execute(by)).scalar_one() == "starter"
            assert len((await connection.execute(select(rejected_requests))).all()) == 4
        assert (await asks.ask("writer", "register", definition={**DEFINITION, "version": "2"}))[0] == "registered"
        assert [line for line in await asks.audit() if line[3] == "done"] == [
            ("writer", "register", "pipelines/p", "done"),
            ("starter", "run", "pipelines/p", "done"),
        ]


async def test_a_replay_needs_its_own_permission(tmp_path):
    async with asking(tmp_path) as asks:
        for user, words in (("ops", "may not replay quarantine/p"), ("replayer", "has not ended")):
            kind, said = await asks.ask(user, "replay", run_id="run_1")
            assert (kind, words in said["error"]) == ("rejected", True), said


async def test_a_discard_needs_its_own_permission_and_is_sent_on_to_the_quarantine(tmp_path):
    async with asking(tmp_path) as asks:
        await store.keep(asks.engine, message(kept("r1"), kept("r2"), run_id="run_1"), NOW)
        quarantine = aiter(await asks.bus.subscribe(QUARANTINE_QUEUE, prefetch=1))
        for user, words in (
            ("replayer", "replayer may not discard quarantine/p."),
            ("starter", "There is no run run_1"),
            ("discarder", "There is no run run_9"),
        ):
            run_id = "run_9" if "run_9" in words else "run_1"
            kind, said = await asks.ask(user, "discard", run_id=run_id)
            assert (kind, words in said["error"]) == ("rejected", True), said
        kind, said = await asks.ask("discarder", "discard", run_id="run_1", record_ids=["r9"])
        assert (kind, said["error"].startswith("Nothing is discarded")) == ("rejected", True), said
        kind, said = await asks.ask("discarder", "discard", run_id="run_1", record_ids=["r2"], requested_by="root")
        assert (kind, said["status"]) == ("accepted", "running")
        sent = await anext(quarantine)
        request = DiscardRequest.model_validate_json(sent.body)
        assert (request.run_id, request.record_ids, request.requested_by) == ("run_1", ("r2",), "discarder")
        assert sent.routing_key == "quarantine.discard.p"
        assert [line for line in await asks.audit() if line[3] != "denied"] == [
            ("discarder", "discard", "quarantine/p", "done")
        ]


async def test_the_line_of_the_audit_log_is_settled_with_the_command_of_a_trusted_service_alone(tmp_path):
    async with asking(tmp_path) as asks:
        async with asks.engine.begin() as connection:
            act = Act("anna", "token", "pause", "runs/p")
            line, other = [await audit_log.note(connection, act, NOW, run_id="run_1") for _ in range(2)]
        assert (await asks.ask("ops", "priority", run_id="run_1", priority=3, audit_line=line))[0] == "accepted"
        assert (await asks.ask("services", "priority", run_id="run_9", priority=3, audit_line=other))[0] == "rejected"
        assert [each[3] for each in (await asks.audit())[1:]] == ["failed", "asked"]
        assert (await asks.ask("services", "pause", run_id="run_1", audit_line=line))[0] == "accepted"
        async with asks.engine.begin() as connection:  # whoever waited for the answer does not know better
            await audit_log.settle(connection, line, audit_log.FAILED, None, "No answer.", unless_settled=True)
        assert (await asks.audit())[2] == ("anna", "pause", "runs/p", "done")


async def test_without_a_file_of_policies_whoever_can_publish_may(tmp_path):
    async with asking(tmp_path, "") as asks:
        assert (await asks.ask(None, "pause", run_id="run_1"))[0] == "accepted"
        assert await asks.audit() == []


def test_a_file_of_policies_that_cannot_be_used_stops_the_coordinator(tmp_path):
    with pytest.raises(ConfigurationError, match="LOOM_COORDINATOR_ACCESS_FILE"):
        Permissions.read(tmp_path / "missing.yaml", [])
    file = tmp_path / "loom.yaml"
    file.write_text("access: [")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Permissions.read(file, [])
    file.write_text("access: {policies: [{user_pattern: '('}]}")
    with pytest.raises(InvalidDefinition, match="a regular expression"):
        Permissions.read(file, [])
    file.write_text("mode: distributed\n")
    assert Permissions.read(file, []).asker(type("Delivery", (), {"user_id": None})()) is not None  # denies all


async def test_rabbitmq_checks_the_user_whom_a_request_names(amqp_url):
    from yarl import URL

    from loom_common.adapters.amqp.bus import AmqpBus
    from loom_common.errors import PermanentError

    url = URL(amqp_url)
    async with within(30):
        bus = await AmqpBus.connect(amqp_url, name="test")
        await bus.declare(TOPOLOGY)
        for each, user in ((bus, url.user), (await AmqpBus.connect(amqp_url, name="other", names_user=False), None)):
            await each.publish([Wire("loom.runs", "run.pause", b"{}", message_id="1")])
            subscription = await bus.subscribe(RUNS_QUEUE, prefetch=1)
            delivery = await anext(aiter(subscription))
            assert delivery.user_id == user
            await delivery.ack()
            await subscription.close()
            if each is not bus:
                await each.close()
        bus._publisher._user = "somebody-else"
        bus._publisher._outlet = None
        with pytest.raises(PermanentError):
            await bus.publish([Wire("loom.runs", "run.pause", b"{}", message_id="2")])
        await bus.close()
