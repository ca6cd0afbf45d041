"""Implements `python -m matrix`, which is `make faults`: it injects every fault of the matrix into a cluster and
reports which promises held.

A seed determines at which moments faults are injected. The exit code is 1 where a promise did not hold."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from matrix.attempt_fault import NOT_WHOLE, attempt_fault
from matrix.cluster_under_test import ClusterUnderTest, cluster_under_test
from matrix.fault_cases import FAULT_CASES, FaultCase
from matrix.outcomes import Outcome, append, read, table, write


async def _try_all(cases: list[FaultCase], options: argparse.Namespace) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for proxied in (False, True):
        chosen = [case for case in cases if case.proxied is proxied]
        left = deque(_tries(chosen, options.times, options.seed))
        while left:
            async with cluster_under_test(proxied=proxied) as system:
                outcomes += await _try_in(system, left, options)
    return outcomes


def _tries(cases: list[FaultCase], times: int | None, seed: int) -> Iterator[tuple[FaultCase, int]]:
    """Yield the cases round by round, so that an interrupted run has tried every case about equally often."""
    for number in range(max((case.times for case in cases), default=0)):
        for case in cases:
            if number < min(case.times, times or case.times):
                yield case, seed + number


async def _try_in(
    system: ClusterUnderTest, left: deque[tuple[FaultCase, int]], options: argparse.Namespace
) -> list[Outcome]:
    """Try all remaining cases, or stop after a fault from which the cluster did not recover; the rest then get new
    servers."""
    outcomes: list[Outcome] = []
    while left:
        case, seed = left.popleft()
        began = time.monotonic()
        outcome = await attempt_fault(system, case, seed)
        outcomes.append(outcome)
        _say(outcome, time.monotonic() - began)
        if options.record:
            append(options.record, outcome)
        if not outcome.passed and options.logs:
            print(system.cluster.troubles(), flush=True)
        if NOT_WHOLE in outcome.troubles:
            break
    return outcomes


def _say(outcome: Outcome, seconds: float) -> None:
    verdict = "held  " if outcome.passed else "BROKEN"
    notes = f" ({', '.join(outcome.notes)})" if outcome.notes else ""
    print(f"{verdict} {outcome.fault} #{outcome.seed}: {outcome.recovery:.1f} of {seconds:.1f} s{notes}", flush=True)
    for trouble in outcome.troubles:
        print(f"       {trouble}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m matrix", description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, help="each fault at most so often; default: as often as its row says")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORDS", help="faults whose name contains one of them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--logs", action="store_true", help="show what services logged above info where it broke")
    parser.add_argument("--record", type=Path, help="add every outcome to this file, a line of JSON each")
    parser.add_argument("--write", type=Path, help="put the table of all recorded outcomes into this document")
    options = parser.parse_args()
    cases = [case for case in FAULT_CASES if not options.only or any(words in case.fault for words in options.only)]
    outcomes = asyncio.run(_try_all(cases, options))
    print("\n" + table(outcomes, [case.fault for case in FAULT_CASES]))
    if options.write:
        everything = read(options.record) if options.record else outcomes
        write(options.write, table(everything, [case.fault for case in FAULT_CASES]))
    sys.exit(any(not outcome.passed for outcome in outcomes))


if __name__ == "__main__":
    main()
