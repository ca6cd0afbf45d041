"""Injects faults of messages: duplicated, reordered, unreadable, stale and large ones."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

from loom_common import flow
from loom_common.adapters.amqp.bus import AmqpBus
from loom_common.contracts.encoding.codec import decode
from loom_common.errors import UnreadableMessage
from loom_common.flow import FACTS_QUEUE, QUARANTINE_QUEUE, RUNS_QUEUE, Binding, Exchange
from loom_common.ports.bus import Wire
from matrix.attempt import RECORDS, Attempt
from matrix.invariants import books, compare
from support.cluster import NAMES
from support.projects import PASSTHROUGH, project

_MB = 1_000_000
_FUZZED = 1000
_QUEUES = (*(flow.work_queue(stage) for stage in flow.Stage), QUARANTINE_QUEUE, FACTS_QUEUE)
FUTURE = "loom.batch.extracted.v9"


async def duplicated(attempt: Attempt) -> None:
    """Every service publishes each message twice, in a random order."""
    attempt.settle_seconds = 120.0  # a message has been doubled five times when it reaches the coordinator
    await _from_everyone(attempt, "before_publish:*:twice", records=60)


async def reordered(attempt: Attempt) -> None:
    """Every service delays each message by up to half a second, so that messages overtake each other."""
    await _from_everyone(attempt, "before_publish:*:late=0.5")


async def _from_everyone(attempt: Attempt, order: str, records: int = RECORDS) -> None:
    await attempt.system.restart_with_failpoints({name: f"{name}:{order}" for name in NAMES})
    attempt.fault_begins()
    await attempt.begin(records)


async def malformed(attempt: Attempt) -> None:
    """Put invalid JSON, an unknown type, a future version, a missing field, a stale epoch, and a thousand fuzzed
    messages into every queue during a run."""
    bus = await AmqpBus.connect(attempt.system.bus_url, name="matrix")
    try:
        tap = await bus.temporary_queue(
            [Binding(Exchange.WORK, "#"), Binding(Exchange.QUARANTINE, "#"), Binding(Exchange.EVENTS, "batch.#")]
        )
        tapped = await bus.subscribe(tap, prefetch=50)
        await attempt.begin()
        samples = []
        async for delivery in tapped:
            samples.append(delivery)
            await delivery.ack()
            if len(samples) == 40:
                break
        await tapped.close()
        attempt.fault_begins()
        wires = _malformed(attempt, samples)
        attempt.dead_letters = len(wires)
        attempt.never_logged = ("attempt failed",)
        stale = [
            replace(_wire(each), body=_at_epoch(each.body, 0)) for each in samples if each.content_encoding is None
        ]
        for start in range(0, len(wires), 100):
            await bus.publish(wires[start : start + 100])
        await bus.publish([each for each in stale if each.exchange == Exchange.WORK])
    finally:
        await bus.close()
    attempt.notes.append(f"{len(wires)} to loom.dead")


def _wire(delivery) -> Wire:
    headers = {key: value for key, value in delivery.headers.items() if isinstance(value, str | int)}
    return Wire(
        exchange=delivery.exchange, routing_key=delivery.routing_key, body=delivery.body, type=delivery.type,
        message_id=delivery.message_id, correlation_id=delivery.correlation_id,
        content_encoding=delivery.content_encoding, headers=headers,
    )  # fmt: skip


def _at_epoch(body: bytes, epoch: int) -> bytes:
    document = json.loads(body)
    document.get("header", document)["epoch"] = epoch
    return json.dumps(document).encode()


def _malformed(attempt: Attempt, samples) -> list[Wire]:
    """Return unreadable messages, addressed to queues directly."""
    plain = next(each for each in samples if each.content_encoding is None and each.exchange == Exchange.WORK)
    document = json.loads(plain.body)
    wires = []
    for queue in _QUEUES:
        there = replace(_wire(plain), exchange="", routing_key=queue, message_id=f"malformed-{queue}")
        short = {key: value for key, value in document.items() if key != "header"} | {"header": {}}
        wires += [
            replace(there, body=b'{"header": '),
            replace(there, type="loom.nonsense.v1"),
            replace(there, type=FUTURE),
            replace(there, body=json.dumps(short).encode()),
        ]
    wires.append(Wire("", RUNS_QUEUE, b"{", message_id="malformed-request"))
    while len(wires) < _FUZZED + 4 * len(_QUEUES) + 1:
        wire = _fuzzed(attempt, replace(_wire(attempt.chance.choice(samples)), exchange=""), len(wires))
        if not _readable(wire):
            wires.append(wire)
    return wires


def _fuzzed(attempt: Attempt, wire: Wire, number: int) -> Wire:
    """Change, remove or insert bytes of the message, or change its properties."""
    chance = attempt.chance
    body = bytearray(wire.body)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(body) or 1)
        match chance.randrange(4):
            case 0:
                body[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del body[place : place + chance.randint(1, 50)]
            case 2:
                body[place:place] = chance.randbytes(chance.randint(1, 50))
            case 3:
                del body[place:]
    headers = dict(wire.headers)
    headers[chance.choice(["loom-attempt", "loom-epoch", "traceparent", "x-\u00e9", "loom-dead-reason"])] = (
        chance.choice([-1, 0, 2**40, "", "x" * 300, "\u0000", "NaN"])
    )
    kinds = [wire.type, wire.type, "", "loom", FUTURE, "loom.run.request.v1", "x" * 200]
    encodings = [wire.content_encoding, wire.content_encoding, "zstd", "gzip", "x" * 100]
    return replace(
        wire,
        routing_key=chance.choice(_QUEUES),
        body=bytes(body),
        headers=headers,
        type=chance.choice(kinds),
        content_encoding=chance.choice(encodings),
        message_id=f"fuzz-{number}" if chance.random() < 0.9 else "",
    )


def _readable(wire: Wire) -> bool:
    given = {"type": wire.type, "body": wire.body, "content_encoding": wire.content_encoding, "headers": wire.headers}
    try:
        tuple(getattr(decode(SimpleNamespace(**given, message=None)), "records", ()))
    except UnreadableMessage:
        return False
    return True


async def large(attempt: Attempt, megabytes: int) -> None:
    """Run one record of this size among small ones, from a database and into one."""
    source, attempt.records = f"{attempt.name}_source", 6
    await attempt.system.rows(f'CREATE TABLE "{source}" (id text PRIMARY KEY, review text)')
    size = f"CASE WHEN n = 3 THEN {megabytes * _MB} ELSE 20 END"
    # Random letters, because text that compresses well would not stay large.
    await attempt.system.rows(
        f"""INSERT INTO "{source}" SELECT 'r' || n, (SELECT string_agg(md5(random()::text || i || n), '')
        FROM generate_series(1, {size} / 32 + 1) i) FROM generate_series(1, {attempt.records}) n"""
    )
    digests = {
        row["id"]: row["digest"] for row in await attempt.system.rows(f'SELECT id, md5(review) digest FROM "{source}"')
    }
    attempt.made = project(
        attempt.system.cluster.project / attempt.name,
        0,
        name=attempt.name,
        source="${RESULTS}",
        transform=PASSTHROUGH,
        destination=f"${{RESULTS}}?table={attempt.table}",
        extract={"batch_size": 2, "query": f'SELECT id, review FROM "{source}"'},
    )

    async def check(attempt: Attempt) -> list[str]:
        report = await attempt.report()
        wrong = [] if report["status"] == "succeeded" else [f"{report['status']}: {report['error']}"]
        loaded_rows = await attempt.system.rows(f'SELECT id, md5(review) digest FROM "{attempt.table}"')
        return wrong + books(report) + compare(digests, [(row["id"], row["digest"]) for row in loaded_rows])

    attempt.check = check
    attempt.fault_begins()
    attempt.run_id = await attempt.start(attempt.made)
