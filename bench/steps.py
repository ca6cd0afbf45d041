"""Measures what a further step in a chain costs a record in the transformer: CPU microseconds, beside the goal.

Equal batches go through chains of one and of many steps, in turns, in this process. What a step costs is the difference
of the two, divided by steps and records; the least of several rounds counts, because what else the machine does only
ever adds to it. `python -m bench.steps` prints a table."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import figures
from bench.result import BenchError
from loom_ai.journal.models import JournalledModels
from loom_ai.providers.dry_run_client import DryRunClient
from loom_ai.stores.memory.journal import MemoryJournal
from loom_ai.stores.memory.marks import MemoryMarks
from loom_common.caching.plan_cache import PlanCache
from loom_common.contracts.v1 import BatchExtracted, BatchHeader, ExtractedRecord
from loom_common.domain.run.plan import Plan
from loom_common.domain.run.tally import Tally
from loom_common.flow import Stage
from loom_common.user_code.poison_isolation import Isolation
from loom_common.user_code.stage_runner import StageRunner
from loom_common.worker.context import Context
from loom_transformer.handler import Transformer
from loom_transformer.transforms.catalog import Catalog

_GOAL = 20.0
"""The microseconds of CPU that a step may cost a record."""
_CODE = "def made(record): return {}\n"
_STEPS: dict[str, dict[str, Any]] = {
    "a step that passes on": {"type": "passthrough"},
    "a filter: n >= 0": {"type": "filter", "where": "n >= 0"},
    "a function that does nothing": {"type": "python", "function": "benchsteps:made"},
}


class _OnePlan(PlanCache):
    """Gives the plan that is measured, whatever is asked for."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    async def get(self, plan_hash: str) -> Plan:
        return self._plan


def main() -> None:
    """Exit code 1 where a step costs more than is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.steps", description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=int, default=2_000, help="records of a round (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=20, help="steps of the long chain (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns, of which the least counts (default: %(default)s)")
    parser.add_argument("--most", type=float, default=_GOAL, help="fail where a step costs more (default: the goal)")
    options = parser.parse_args()
    slow, dearest = [], 0.0
    for name, step in _STEPS.items():
        cost = measured(step, options.records, options.steps, options.rounds)
        print(f"{name:<30} {cost:5.1f} us a record (goal: under {_GOAL:g})", flush=True)
        dearest = max(dearest, cost)
        slow += [name] if cost > options.most else []
    figures.keep("steps.dearest", dearest)
    if slow:
        sys.exit(f"bench: beyond what is asked for: {', '.join(slow)}")


def measured(step: dict[str, Any], records: int, steps: int, rounds: int) -> float:
    """Return the microseconds of CPU that such a step costs a record of a chain. Raises `BenchError` where a chain does
    not let every record through."""
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        Path(folder, "benchsteps.py").write_text(_CODE, encoding="utf-8")
        turns = range(rounds)
        pairs = [(_passage(step, 1, records, folder), _passage(step, steps + 1, records, folder)) for _ in turns]
    return (min(long for _, long in pairs) - min(short for short, _ in pairs)) / steps / records * 1e6


def _passage(step: dict[str, Any], steps: int, records: int, folder: str) -> float:
    """Return the seconds of CPU that a chain of equal steps takes for batches of 100 records."""
    named = [{**step, "name": f"s{at}", "needs": [f"s{at - 1}"] if at else []} for at in range(steps)]
    definition = {
        "name": "steps", "extract": {"source": "in.csv"}, "transform": {"steps": named},
        "load": {"destination": "out.csv"},
    }  # fmt: skip
    plan = Plan.model_validate({"pipeline": definition, "every_hop": True})
    return asyncio.run(_through(plan, records, Path(folder)))


async def _through(plan: Plan, records: int, folder: Path) -> float:
    catalog = Catalog(JournalledModels(DryRunClient(), MemoryJournal()), folder)
    runner = StageRunner(_OnePlan(plan), catalog.transform_of, Isolation(MemoryMarks(), Stage.TRANSFORM))
    transformer, given = Transformer(runner), tuple(ExtractedRecord(f"r{n}", {"n": n, "text": "x"}) for n in range(100))
    header = BatchHeader(
        run_id="bench", pipeline="steps", plan=plan.hash, epoch=0, batch_id="b", partition=0, slice=0, position=0,
        tally=Tally(extracted=len(given)),
    )  # fmt: skip
    batch = BatchExtracted(header=header, records=given)
    await transformer(batch, Context())
    began = time.process_time()
    for _ in range(records // len(given)):
        made = await transformer(batch, Context())
        if len(made.records) != len(given):
            raise BenchError(f"Only {len(made.records)} of {len(given)} records came through.")
    return time.process_time() - began


if __name__ == "__main__":
    main()
