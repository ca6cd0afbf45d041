"""Answers questions about texts whose answers are known, so that a simulated model can be right as often as wanted."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loom_common.domain.json_values.kinds import kind_of
from loom_common.domain.values.near import closest
from loom_common.errors import ConfigurationError


@dataclass(frozen=True)
class KnownAnswers:
    """Holds the fields of the answer to each text."""

    by_text: Mapping[str, Mapping[str, Any]]
    right: float = 1.0
    """The share of the texts that are answered as is known; the answers to the others are made up."""
    seed: int = 0

    def about(self, question: str) -> Mapping[str, Any]:
        """Return what is known of the text that a question holds: of several, the longest. Empty where there is none,
        or where it is one of those whose answer is made up."""
        lines = [line.strip() for line in question.splitlines()]
        found = max((line for line in lines if line in self.by_text), key=len, default=None)
        if found is None:
            found = max((text for text in self.by_text if text in question), key=len, default=None)
        if found is None or _share(f"{self.seed} {found}") >= self.right:
            return {}
        return self.by_text[found]


def read_answers(
    file: Path, text: str | None, fields: Mapping[str, str], right: float = 1.0, seed: int = 0
) -> KnownAnswers:
    """Read a CSV file, or one of JSON Lines (`.jsonl`), whose column `text` (by default the first) holds the texts.
    `fields` names the column of each field of an answer; without any, each column is the field of its name. Raises
    `ConfigurationError`."""
    rows = _json_rows(file) if file.suffix == ".jsonl" else _csv_rows(file)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    for wanted in (*([] if text is None else [text]), *fields.values()):
        if wanted not in columns:
            near = closest(wanted, columns)
            hint = "" if near is None else f" Did you mean {near!r}?"
            raise ConfigurationError(f"{file} has no column {wanted!r}; it has {', '.join(columns) or 'none'}.{hint}")
    named = dict(fields) or {name: name for name in columns}
    of_text = text or (columns[0] if columns else "")
    known: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        if (said := str(row.get(of_text) or "").strip()) != "":
            known[said] = {field: row[column] for field, column in named.items() if column in row}
    return KnownAnswers(known, right, seed)


def _csv_rows(file: Path) -> list[dict[str, Any]]:
    """Read the rows of a CSV file, each without the cells that it lacks. Raises `ConfigurationError`."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.DictReader(opened)
            rows = [{name: cell for name, cell in row.items() if name and cell is not None} for row in reader]
            return rows or [dict.fromkeys(reader.fieldnames or (), "")]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(file, error) from error


def _json_rows(file: Path) -> list[dict[str, Any]]:
    """Read a file of JSON Lines, each of which is an object. Raises `ConfigurationError`."""
    rows = []
    try:
        with file.open(encoding="utf-8-sig") as opened:
            for number, line in enumerate(opened, 1):
                if line.strip() == "":
                    continue
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ConfigurationError(f"{file}:{number}: an answer is a JSON object, not {kind_of(row)}.")
                rows.append(row)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{file}:{number}: {error.msg.lower()}, at column {error.colno}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error
    return rows


def _unreadable(file: Path, error: Exception) -> ConfigurationError:
    why = (getattr(error, "strerror", None) or str(error)).lower()
    return ConfigurationError(f"The answers in {file} cannot be read: {why}.")


def with_known(answer: Any, known: Mapping[str, Any]) -> Any:
    """Return an answer with what is known in the place of what was made up, in the fields that it has."""
    if not isinstance(answer, dict):
        return answer
    return {name: _like(value, known[name]) if name in known else value for name, value in answer.items()}


def _like(made_up: Any, value: Any) -> Any:
    """Return a text of a file as the kind of value that was made up in its place, and any other value as it is."""
    if not isinstance(value, str):
        return value
    if isinstance(made_up, bool):
        return value.strip().casefold() in ("true", "1", "yes")
    if isinstance(made_up, int | float):
        try:
            return type(made_up)(float(value))
        except ValueError:
            return made_up
    return value


def _share(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
