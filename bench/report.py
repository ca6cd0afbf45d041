"""Prints the results as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan
from statistics import median

from bench.result import Passage

Pair = tuple[Passage, Passage]
"""Loom and the bare loop, one after the other."""


def ratio(rounds: Sequence[Pair]) -> float:
    """Return Loom's rate as a share of the bare loop's: the median over the rounds."""
    return median(loom.rate / bare.rate for loom, bare in rounds)


def ratio_while_moving(rounds: Sequence[Pair]) -> float:
    """Return the same by the bare loop's own clock, which runs from its first record to its last batch: Loom's rate is
    counted from the request for the first slice to the fact about the last batch."""
    return median(loom.rate_while_moving / bare.rate for loom, bare in rounds)


def table(title: str, results: Mapping[int, Sequence[Pair]]) -> str:
    """Records a second of each round, their ratio, and what both used, per batch size."""
    heads = (
        "batch",
        "round",
        "Loom rec/s",
        "bare rec/s",
        "ratio",
        "by its clock",
        "Loom CPU us/rec",
        "bare CPU us/rec",
    )
    lines = [title, "  ".join((*heads, "other work"))]
    for batch_size, rounds in results.items():
        for number, (loom, bare) in enumerate(rounds, 1):
            lines.append(
                f"{batch_size:>5}  {number:>5}  {loom.rate:>10,.0f}  {bare.rate:>10,.0f}  "
                f"{loom.rate / bare.rate:>5.2f}  {_by_its_clock([(loom, bare)]):>12}  "
                f"{_micros(loom):>15}  {_micros(bare):>15}  {_cores(loom)}"
            )
        lines.append(f"{batch_size:>5}  median ratio {ratio(rounds):>25.2f}  {_by_its_clock(rounds):>12}")
    return "\n".join(lines)


def shares(results: Mapping[int, Sequence[Pair]]) -> str:
    """Return CPU microseconds a record by process: where the time goes."""
    lines = ["CPU us/rec by process (median of the rounds)"]
    for batch_size, rounds in results.items():
        for side, passages in zip(("Loom", "bare"), zip(*rounds, strict=True), strict=True):
            lines.append(f"{batch_size:>6}  {side}: {by_process(passages)}")
    return "\n".join(lines)


def by_process(passages: Sequence[Passage]) -> str:
    """Return CPU microseconds a record of each process, the median of the passages."""
    used = {name: median(each.cpu[name] / each.records for each in passages) * 1e6 for name in passages[0].cpu}
    return "  ".join(f"{name} {micros:.1f}" for name, micros in used.items())


def _cores(passage: Passage) -> str:
    return "" if isnan(passage.elsewhere) else f"{passage.elsewhere:.1f} cores"


def _by_its_clock(rounds: Sequence[Pair]) -> str:
    found = ratio_while_moving(rounds)
    return "" if isnan(found) else f"{found:.2f}"


def _micros(passage: Passage) -> str:
    return f"{passage.cpu_seconds / passage.records * 1e6:.1f}"
