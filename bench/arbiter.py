"""Measures one evaluator of Arbiter's behind Loom's journalled client, beside the same through Arbiter's own client.

`python -m bench.arbiter`. Both ask the same local server about the same texts with as many in flight. Loom's side
writes every answer to a journal in SQLite before it is used, and counts it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError

from bench import figures
from bench.report import ratio
from bench.result import BenchError, Passage
from loom_common.contracts.v1 import TransformedRecord
from loom_common.domain.definition.evaluation import EvaluateConfig
from loom_dev.backends.ports import reserve_port

_EVALUATOR = {"type": "semantic", "reference_field": "expected", "threshold": 0.5}
_GOAL = 20

Evaluate = Callable[[TransformedRecord], Awaitable[float]]


async def measured(records: int, beside: int, at_once: int, rounds: int) -> list[tuple[Passage, Passage]]:
    """Measure Loom's passage over `records` and Arbiter's own over `beside`, in turns."""
    results = []
    with _server() as url, tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        async with _loom(url, Path(folder)) as loom:
            own = _own(url)
            for evaluate in (loom, own):
                await _passage(evaluate, 20, at_once, "warm-up")
            for number in range(rounds):
                pair = [
                    await _passage(evaluate, count, at_once, f"round {number}")
                    for evaluate, count in ((loom, records), (own, beside))
                ]
                results.append((pair[0], pair[1]))
    return results


def table(results: list[tuple[Passage, Passage]]) -> str:
    """Draw evaluations a second and CPU of each, per round."""
    lines = [
        "Arbiter's semantic evaluator, by Loom's client and by its own",
        "round  Loom ev/s  own ev/s  ratio  CPU ratio",
    ]
    for number, (loom, own) in enumerate(results, 1):
        milliseconds = [each.cpu_seconds / each.records * 1e3 for each in (loom, own)]
        lines.append(
            f"{number:>5}  {loom.rate:>9,.0f}  {own.rate:>8,.1f}  {loom.rate / own.rate:>5.1f}  "
            f"{milliseconds[1] / milliseconds[0]:>9.1f}   "
            f"({milliseconds[0]:.2f} and {milliseconds[1]:.1f} ms of CPU)"
        )
    lines.append(f"median ratio {ratio(results):.1f}; goal {_GOAL}")
    return "\n".join(lines)


async def _passage(evaluate: Evaluate, records: int, at_once: int, run: str) -> Passage:
    """Every text is another in every passage, so that nothing is known beforehand."""
    waiting = iter(
        TransformedRecord(id=f"{run}-{n}", input={"expected": f"{run}: city {n}"}, output={"city": f"{run}: town {n}"})
        for n in range(records)
    )
    scores: list[float] = []

    async def worker() -> None:
        scores.extend([await evaluate(record) for record in waiting])

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    passage = Passage(records, time.perf_counter() - began, {"client": time.process_time() - cpu})
    if scores != [0.9] * records:
        raise BenchError(f"{len(scores)} of {records} scores came, not all of them right")
    return passage


@asynccontextmanager
async def _loom(url: str, folder: Path) -> AsyncIterator[Evaluate]:
    from loom_ai.compose import open_models
    from loom_ai.ports import Payer
    from loom_ai.settings import ModelSettings
    from loom_ai.stores.beside_journal import open_journal
    from loom_common.domain.definition.evaluators import Semantic
    from loom_evaluator.evaluation_call import EvaluationCall
    from loom_evaluator.evaluators.arbiter import arbiter_rule
    from loom_migrations.upgrade import upgrade_all

    journal = f"sqlite:///{folder / 'journal.db'}"
    await upgrade_all([journal])
    models = open_models(open_journal(journal), settings=ModelSettings(concurrency=256))
    section = EvaluateConfig.model_validate({"model": "gpt-4o-mini", "base_url": url, "evaluators": [_EVALUATOR]})
    rule = arbiter_rule(Semantic.model_validate(_EVALUATOR), section, {})

    async def evaluate(record: TransformedRecord) -> float:
        return (await rule(record, EvaluationCall(models, Payer("bench", record.id)))).value

    try:
        yield evaluate
    finally:
        await models.close()


def _own(url: str) -> Evaluate:
    os.environ.update(OPENAI_BASE_URL=url, OPENAI_API_KEY="none")
    from arbiter_ai import LLMClient, Provider, SemanticEvaluator

    client = LLMClient(Provider.OPENAI, "gpt-4o-mini", temperature=0.0)

    async def evaluate(record: TransformedRecord) -> float:
        score = await SemanticEvaluator(client).evaluate(record.result["city"], record.input["expected"])
        return float(score.value)

    return evaluate


@contextmanager
def _server() -> Iterator[str]:
    port = reserve_port()
    with subprocess.Popen([sys.executable, "-m", "bench.judge_server", str(port)]) as process:
        try:
            _await_server(f"http://127.0.0.1:{port}/")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def _await_server(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5)
        except HTTPError:
            return
        except URLError:
            time.sleep(0.05)
    raise BenchError(f"the model server at {url} did not start")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.arbiter", description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=3000, help="evaluations by Loom's client (default: %(default)s)")
    parser.add_argument("--beside", type=int, default=150, help="evaluations by Arbiter's own (default: %(default)s)")
    parser.add_argument("--at-once", type=int, default=64, help="in flight (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--least", type=float, default=0.0, help="fail where the median ratio is lower")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")  # pydantic-ai's, about its own next version
    results = asyncio.run(measured(options.records, options.beside, options.at_once, options.rounds))
    print(table(results))
    figures.keep("arbiter", ratio(results))
    if ratio(results) < options.least:
        sys.exit(f"bench: a ratio of {ratio(results):.1f}; at least {options.least:g} was asked for")


if __name__ == "__main__":
    main()
