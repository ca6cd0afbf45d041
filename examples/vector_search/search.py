"""Prints the articles nearest to a question, such as `python search.py "how do I get my money back"`."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import sys
import urllib.request
from collections.abc import Sequence

BASE_URL = os.environ.get("SIMULATED_BASE_URL", "http://127.0.0.1:8089/v1")
"""Is the endpoint that made the vectors of the articles. For OpenAI: https://api.openai.com/v1, with a key."""
MODEL, DIMENSIONS = "any", 256
DATABASE = "results/articles.db"


def vector_of(text: str) -> list[float]:
    """Return the vector of a text, of the length 1."""
    body = json.dumps({"model": MODEL, "input": [text], "dimensions": DIMENSIONS}).encode()
    request = urllib.request.Request(f"{BASE_URL}/embeddings", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        vector = json.load(response)["data"][0]["embedding"]
    length = math.hypot(*vector)
    return [number / length for number in vector]


def nearest(
    vector: Sequence[float], rows: Sequence[tuple[str, str, str]], count: int = 3
) -> list[tuple[float, str, str]]:
    """Return the rows (id, title, vector as JSON) that are nearest: similarity, id and title."""
    found = [
        (sum(a * b for a, b in zip(vector, json.loads(stored), strict=True)), key, title) for key, title, stored in rows
    ]
    return sorted(found, reverse=True)[:count]


def main() -> None:
    """Print the three articles that are nearest to the words of the command line."""
    with sqlite3.connect(DATABASE) as database:
        rows = database.execute("SELECT id, title, embedding FROM articles").fetchall()
    for similarity, key, title in nearest(vector_of(" ".join(sys.argv[1:])), rows):
        print(f"{similarity:.2f}  {key}  {title}")


if __name__ == "__main__":
    main()
