"""Writes a benchmark to a file: HTML for people, JSON with everything, CSV with the single records."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from loom.benchmarks.figures.result import Benchmark
from loom.benchmarks.shown.files import put

_COLUMNS = ("candidate", "record_id", "label", "predicted", "right", "confidence", "seconds", "error")


def write(found: Benchmark, file: Path) -> None:
    """Write the benchmark, as the name's ending says. Raises as `put` does."""
    put(text_of(found, file), file)


def text_of(found: Benchmark, file: Path) -> str:
    """Return the text of a benchmark, as the name's ending says."""
    return {".json": _json, ".csv": _csv, ".html": _html}[file.suffix](found)


def _json(found: Benchmark) -> str:
    return json.dumps(found.with_records(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _csv(found: Benchmark) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for measured in found.candidates:
        for each in measured.predictions:
            writer.writerow([measured.name, *(getattr(each, name) for name in _COLUMNS[1:])])
    return text.getvalue()


def _html(found: Benchmark) -> str:
    from loom.benchmarks.shown.page import page

    return page(found)
