"""Holds what the programs of peers share. It runs in their environments, and needs none of Loom's packages."""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

AT_ONCE = 100
QUESTION = "Classify the sentiment of this review as good or bad: "


def keep_to_itself() -> None:
    """Let a peer that calls models by LiteLLM speak to nobody but the simulated model, and keep nothing outside its
    working folder. Called before it is imported."""
    package = importlib.util.find_spec("litellm")
    assert package is not None
    assert package.origin is not None
    # Its tokenizer's words lie in the package, and are otherwise fetched from elsewhere.
    tokens = next(Path(package.origin).parent.glob("**/tokenizers"))
    here = str(Path.cwd())
    os.environ.update(
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        HF_HUB_OFFLINE="1",
        HF_HOME=here,
        OPENAI_API_KEY="none",
        TIKTOKEN_CACHE_DIR=str(tokens),
    )


def insert(database: str, rows: Iterable[tuple[str, str, float | None]]) -> None:
    """Insert the id, the sentiment and the confidence of each record."""
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("CREATE TABLE reviews (id TEXT, sentiment TEXT, confidence REAL)")
        db.executemany("INSERT INTO reviews VALUES (?, ?, ?)", rows)


def tell(measured: Callable[[], dict[str, float]]) -> None:
    """Print what was measured as JSON, and nothing that the peer says of its progress, unless it fails."""
    said, log = (os.dup(1), os.dup(2)), os.open("log.txt", os.O_RDWR | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        found = json.dumps(measured())
    except BaseException:
        os.write(said[1], Path("log.txt").read_bytes()[-2000:])
        raise
    os.write(said[0], found.encode())
