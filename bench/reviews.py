"""Makes rows to move: invented reviews, four columns, about 200 bytes each. The same rows every time."""

from __future__ import annotations

import csv
import random
from pathlib import Path

COLUMNS = ("id", "product", "review", "rating")

_WORDS = (  # noqa: SIM905 - a text reads better than fifty quoted words
    "the a and but with after this that was arrived quickly slowly broken perfect battery screen colour fabric sound "
    "price service parcel delivery works stopped working week month days would recommend again never really quite "
    "cheap sturdy comfortable loud quiet small large bought for my daughter kitchen office travel return refund"
).split()
_PRODUCTS = ("headphones", "kettle", "office chair", "rain jacket", "desk lamp", "phone case", "backpack", "mixer")


def write(path: Path, count: int) -> None:
    """Write a CSV file of `count` reviews; some hold quotes, commas and line breaks, as reviews do."""
    chance = random.Random(7)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(count):
            writer.writerow((f"r{number:07}", chance.choice(_PRODUCTS), _review(chance), chance.randint(1, 5)))


def _review(chance: random.Random) -> str:
    words = chance.choices(_WORDS, k=chance.randint(12, 44))
    if chance.random() < 0.1:
        words[3] = f'"{words[3]}",\n'
    return " ".join(words).capitalize() + chance.choice((".", "!", " …"))
