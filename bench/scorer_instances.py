"""Measures what two instances of a scorer do in the time of one: `python -m bench.scorer_instances`.

The scorer computes in Python, so that threads of one process do not help it. Both ways are taken in turns, on the same
texts, and each is warm before it is measured. It takes about twenty seconds on two free processors."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from loom_common.domain.definition.transforms.scorer import ScorerTransformConfig
from loom_transformer.scoring.bounds import Bounds
from loom_transformer.transforms.scorer import Scorers

CODE = """
class Model:
    def score(self, texts):
        return [{"n": sum(ord(each) for each in text * 400) % 1000} for text in texts]
"""
TEXTS = ["a review of some forty letters, like many"] * 32


async def measured(folder: Path, instances: int, calls: int) -> float:
    """Return the seconds for so many calls of 32 texts, all asked for at the same time."""
    scorers = Scorers()
    config = ScorerTransformConfig.model_validate(
        {"type": "scorer", "scorer": "bench_model:Model", "field": "text", "instances": instances}
    )
    scoring = scorers.apart(config, folder, Bounds())
    assert scoring is not None
    try:
        await asyncio.gather(*(scoring.scored(TEXTS) for _ in range(2 * instances)))  # all processes have started
        began = perf_counter()
        await asyncio.gather(*(scoring.scored(TEXTS) for _ in range(calls)))
        return perf_counter() - began
    finally:
        await scorers.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--least", type=float, help="fail where two instances are less than so many times as fast")
    options = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "bench_model.py").write_text(CODE, encoding="utf-8")
        for _ in range(options.rounds):
            one, two = (asyncio.run(measured(folder, each, options.calls)) for each in (1, 2))
            ratios.append(one / two)
            texts = options.calls * len(TEXTS)
            print(f"one instance {texts / one:,.0f} texts/s, two {texts / two:,.0f} texts/s: {ratios[-1]:.2f} times")
    found = median(ratios)
    print(f"two instances are {found:.2f} times as fast as one (median of {options.rounds})")
    if options.least is not None and found < options.least:
        sys.exit(f"{found:.2f} is less than {options.least}")


if __name__ == "__main__":
    main()
