"""A process that asks a model through a journal, and prints each answer it was given: to be killed at any moment.

`python asking_process.py BASE_URL JOURNAL_URL RECORDS`"""

from __future__ import annotations

import asyncio
import sys

from loom_ai.compose import open_models
from loom_ai.ports import ChatMessage, ModelCall, Payer
from loom_ai.settings import ModelSettings
from loom_ai.stores.beside_journal import open_journal

AT_ONCE = 10


async def main(base_url: str, journal_url: str, records: int) -> None:
    models = open_models(open_journal(journal_url), settings=ModelSettings(concurrency=AT_ONCE))

    async def ask(number: int) -> None:
        call = ModelCall("gpt-4o-mini", (ChatMessage("user", f"Question {number}"),), base_url)
        settled = await models.complete(call, Payer("run_1", str(number)))
        print(number, settled.answer.text, flush=True)

    await asyncio.gather(*map(ask, range(records)))
    await models.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
