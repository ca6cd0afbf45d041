"""Plants values in sensitive fields of a run on RabbitMQ and Postgres, and reads along: no message, no table and no
page holds one."""

from __future__ import annotations

import base64
import json
from typing import Any

import aio_pika
import asyncpg
import zstandard

from loom.project.config import LoomConfig
from loom_api import service
from loom_api.settings import ApiSettings
from loom_dev.waiting import within
from support.api import client_of
from support.served_api import ended, started

PLANTED, REPAIRED = "ada.pl4nted@example.org", "eve.rep4ired@example.org"
PIPELINE = """
name: people
sensitive: [email]
extract: {source: people.csv, key: id, batch_size: 1}
transform: {type: python, function: "code:touched"}
evaluate: {evaluators: [{type: length, field: note, min: 3, threshold: 1}]}
load: {destination: "${RESULTS}?table=people"}
"""
CODE = """
def touched(record):
    if "broken" in record["email"]:
        raise ValueError(f"no address: {record['email']}")
    return {"email": record["email"], "note": f"to {record['email']}"}
"""
SOURCE = f"id,email\na,{PLANTED}\nb,broken.pl4nted.example\n"
EXCHANGES = ("loom.runs", "loom.work", "loom.quarantine", "loom.events", "loom.control")


async def test_no_message_table_or_page_holds_a_sensitive_value(cluster):
    folder = cluster.project
    for name, text in (("people.yaml", PIPELINE), ("code.py", CODE), ("people.csv", SOURCE)):
        (folder / name).write_text(text)
    (folder / ".env").write_text(f"LOOM_ENCRYPTION_KEY={base64.b64encode(bytes(range(32))).decode()}\n")
    config = LoomConfig.load(folder / "loom.yaml").for_cluster()
    said: dict[str, str] = {}
    broker = await aio_pika.connect(cluster.bus_url)
    async with (
        within(120),
        broker,
        service.opened(config, ApiSettings()) as application,
        client_of(application) as client,
    ):
        channel = await broker.channel()
        tap = await channel.declare_queue(exclusive=True)
        for exchange in EXCHANGES:
            await tap.bind(exchange, "#")

        async def seen(*paths: str) -> None:
            for path in paths:
                said[path] = (await client.get(path)).text

        run_id = await started(client, "/pipelines/people/run")
        report = await ended(client, run_id)
        assert (report["records"]["loaded"], report["records"]["quarantined"]) == (1, 1), report
        await seen(
            f"/runs/{run_id}", f"/quarantine?run_id={run_id}", "/quarantine/b", f"http://localhost/runs/{run_id}",
            f"http://localhost/runs/{run_id}/records/b", "http://localhost/quarantine", "/dead-letters",
        )  # fmt: skip
        assert "no address: ***" in said["/quarantine/b"]
        retried = await client.post("/quarantine/b/retry", json={"run_id": run_id, "edits": {"email": REPAIRED}})
        assert retried.status_code == 202, retried.text
        again = await ended(client, retried.json()["run_id"])
        assert again["records"]["loaded"] == 1, again
        messages = await drained(tap)

    rows, tables = await stored(cluster.state_url)
    assert rows == [("a", PLANTED, f"to {PLANTED}"), ("b", REPAIRED, f"to {REPAIRED}")]
    payloads = {str(file): file.read_bytes() for file in (folder / ".loom").rglob("*") if file.is_file()}
    written = {**{name: text.encode() for name, text in said.items()}, **messages, **tables, **payloads}
    assert {
        name for name, each in written.items() if b"pl4nted" in each.lower() or b"rep4ired" in each.lower()
    } == set()
    assert sum(b"loom-sealed." in each for each in messages.values()) >= 3
    assert b"loom-sealed." in tables["quarantined_records"]


async def drained(tap: Any) -> dict[str, bytes]:
    """Return the bodies of all messages, by their number and type."""
    found: dict[str, bytes] = {}
    while (message := await tap.get(no_ack=True, fail=False)) is not None:
        packed = message.content_encoding == "zstd"
        body = zstandard.ZstdDecompressor().decompress(message.body) if packed else message.body
        found[f"{len(found)} {message.type}"] = body + json.dumps(message.headers, default=str).encode()
    return found


async def stored(url: str) -> tuple[list[tuple[str, ...]], dict[str, bytes]]:
    """Return the rows of the destination, and the contents of all other tables."""
    database = await asyncpg.connect(url)
    try:
        names = await database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        tables = {each[0]: repr(await database.fetch(f'SELECT * FROM "{each[0]}"')).encode() for each in names}
        rows = [tuple(each) for each in await database.fetch("SELECT id, email, note FROM people ORDER BY id")]
    finally:
        await database.close()
    tables.pop("people")
    return rows, tables
