"""Asks as often as a limit lets it: `python limited_process.py BASE_URL BUCKETS_URL PER_MINUTE SECONDS`. Prints how
many answers it had."""

from __future__ import annotations

import asyncio
import sys
import time

from loom_ai.ports import ChatMessage, ModelCall
from loom_ai.providers.http_client import HttpModelClient
from loom_ai.stores.beside_journal import open_buckets
from loom_common.domain.model_options.providers import RateLimit


async def main(base_url: str, buckets: str, per_minute: int, seconds: float) -> int:
    client = HttpModelClient(buckets=open_buckets(buckets))
    call = ModelCall(
        "gpt-4o-mini",
        (ChatMessage("user", "How is it?"),),
        base_url,
        rate_limit=RateLimit(requests_per_minute=per_minute),
    )
    end, answered = time.monotonic() + seconds, 0

    async def worker() -> None:
        nonlocal answered
        while time.monotonic() < end:
            await client.complete(call)
            answered += 1

    await asyncio.gather(*(worker() for _ in range(4)))
    await client.close()
    return answered


if __name__ == "__main__":
    print(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
