"""Writes a benchmark to a file: HTML for people, JSON with everything, CSV with the single records."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from loom.benchmarks.figures.result import Benchmark
from loom_common.errors import ConfigurationError
from loom_connectors.storage.local import followed, put_in_place

_COLUMNS = ("candidate", "record_id", "label", "predicted", "right", "confidence", "seconds", "error")


def write(found: Benchmark, file: Path) -> None:
    """Write the benchmark, as the name's ending says. The file is there whole or not at all. Raises
    `ConfigurationError` where it cannot be written."""
    text = {".json": _json, ".csv": _csv, ".html": _html}[file.suffix](found)
    file = followed(file)
    part = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8", newline="")
        put_in_place(part, file)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)


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
