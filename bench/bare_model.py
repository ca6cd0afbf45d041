"""Does what a user would write instead: read the CSV, ask with aiohttp, as many at once, check, insert into SQLite."""

from __future__ import annotations

import asyncio
import csv
import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import aiohttp
import orjson

from bench.model_bound_pipeline import AT_ONCE, PROMPT, definition
from loom_ai.answers.shape import Shape


async def run(source: str, database: str, base_url: str) -> dict[str, float]:
    """Return seconds and CPU seconds."""
    schema = Shape(definition(source, database, base_url)["transform"]["output"]).schema
    began, cpu = time.perf_counter(), time.process_time()
    # Reading the file blocks the loop, as it would in a user's script.
    with closing(sqlite3.connect(database)) as db, Path(source).open(newline="") as file:  # noqa: ASYNC230
        db.execute("CREATE TABLE reviews (id TEXT, sentiment TEXT, confidence REAL)")
        rows: Iterator[dict[str, str]] = csv.DictReader(file)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

            async def work() -> None:
                for row in rows:
                    text = PROMPT.replace("{{ input.review }}", row["review"])
                    body = {
                        "model": "gpt-4o-mini",
                        "messages": [{"role": "user", "content": text}],
                        "response_format": {"type": "json_schema", "json_schema": {"name": "o", "schema": schema}},
                    }
                    async with session.post(f"{base_url}/chat/completions", data=orjson.dumps(body)) as response:
                        answer = orjson.loads(await response.read())
                    output = orjson.loads(answer["choices"][0]["message"]["content"])
                    if output["confidence"] >= 0:
                        values = (row["id"], output["sentiment"], output["confidence"])
                        db.execute("INSERT INTO reviews VALUES (?, ?, ?)", values)

            await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        db.commit()
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(*sys.argv[1:4]))))
