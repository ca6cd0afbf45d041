"""`python -m matrix`, which is `make faults`: breaks a cluster in every way of the matrix, and tells what held.

Seeded: the same seed chooses the same moments. Exit code 1 where anything did not hold."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from matrix.arena import Arena, arena
from matrix.outcomes import Outcome, append, read, table, write
from matrix.rows import ROWS, Row
from matrix.trying import NOT_WHOLE, tried


async def _try_all(rows: list[Row], options: argparse.Namespace) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for proxied in (False, True):
        chosen = [row for row in rows if row.proxied is proxied]
        left = deque(_tries(chosen, options.times, options.seed))
        while left:
            async with arena(proxied=proxied) as place:
                outcomes += await _try_in(place, left, options)
    return outcomes


def _tries(rows: list[Row], times: int | None, seed: int) -> Iterator[tuple[Row, int]]:
    """Round after round, so that whoever stops it has tried everything as often as there was time for."""
    for number in range(max((row.times for row in rows), default=0)):
        for row in rows:
            if number < min(row.times, times or row.times):
                yield row, seed + number


async def _try_in(place: Arena, left: deque[tuple[Row, int]], options: argparse.Namespace) -> list[Outcome]:
    """All that is left, or until a fault leaves something broken: then the next one gets servers of its own."""
    outcomes: list[Outcome] = []
    while left:
        row, seed = left.popleft()
        began = time.monotonic()
        outcome = await tried(place, row, seed)
        outcomes.append(outcome)
        _say(outcome, time.monotonic() - began)
        if options.record:
            append(options.record, outcome)
        if not outcome.passed and options.logs:
            print(place.cluster.troubles(), flush=True)
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
    rows = [row for row in ROWS if not options.only or any(words in row.fault for words in options.only)]
    outcomes = asyncio.run(_try_all(rows, options))
    print("\n" + table(outcomes, [row.fault for row in ROWS]))
    if options.write:
        everything = read(options.record) if options.record else outcomes
        write(options.write, table(everything, [row.fault for row in ROWS]))
    sys.exit(any(not outcome.passed for outcome in outcomes))


if __name__ == "__main__":
    main()
