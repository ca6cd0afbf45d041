"""Puts a file of the user's own in the place of the data of a template."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from loom_common.errors import ConfigurationError

ROWS = 1000
"""Counts the rows that are looked at, at most."""
_KEYS = ("id", "key", "number", "no", "nr", "uuid")
"""Words in the name of a column that holds a key."""


@dataclass(frozen=True, slots=True)
class OwnData:
    """Describes a CSV file of the user's own: which of its columns is the key, and which holds the text."""

    file: Path
    columns: Sequence[str]
    key: str | None
    """None where no column has another value in each row."""
    text: str

    def put_into(self, files: Mapping[str, str]) -> dict[str, str]:
        """Return the files of the template `prompt` for this file, without its own data."""
        name, text = json.dumps(f"data/{self.file.name}", ensure_ascii=False), _yaml(self.text)
        key = f"key: {_yaml(self.key)} " if self.key is not None else "# key: COLUMN "
        rendered = files["pipeline.yaml"]
        for written, own in (
            ("source: data/feedback.csv", f"source: {name}"),
            ("key: id ", key),
            ("{column: text,", f"{{column: {text},"),
            ("include: [text]", f"include: [{text}]"),
        ):
            rendered = rendered.replace(written, own)
        field = f"input[{json.dumps(self.text, ensure_ascii=False)}]"
        prompts = {
            path: each.replace("input.text", field) for path, each in files.items() if path.startswith("prompts/")
        }
        return {"pipeline.yaml": rendered, **prompts}

    def said(self) -> str:
        """Return a sentence that says what was taken for what."""
        known = (
            "No column has another value in each row, so rows are known by their content"
            if self.key is None
            else (f"Rows are known by the column {self.key!r}")
        )
        return f"{known}; the prompt asks about {self.text!r}. Change both in pipeline.yaml and prompts/, if need be."


def look_at(file: Path) -> OwnData:
    """Look at a CSV file. Raises `ConfigurationError` where it is none, or has no rows."""
    if file.suffix.lower() != ".csv":
        raise ConfigurationError(
            f"--data takes a CSV file, and {file} is none. `loom templates list` has other sources."
        )
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened)
            rows, columns = list(islice(reader, ROWS)), [name for name in reader.fieldnames or () if name]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise ConfigurationError(f"{file} cannot be read: {why}.") from error
    if not rows or not columns:
        raise ConfigurationError(f"{file} has no rows below a header.")
    values = {name: [row[name] or "" for row in rows] for name in columns}
    unique = [name for name in columns if all(values[name]) and len(set(values[name])) == len(rows)]
    key = next((name for name in unique if set(name.lower().replace("_", " ").split()) & {*_KEYS}), None)
    key = key or next((name for name in unique if max(map(len, values[name])) <= 64), None)
    others = [name for name in columns if name != key] or columns
    return OwnData(file, columns, key, max(others, key=lambda name: sum(map(len, values[name]))))


def _yaml(text: str) -> str:
    """Return a text as YAML has it, in quotes where it needs some."""
    return text if text.isidentifier() and text.isascii() else json.dumps(text, ensure_ascii=False)
