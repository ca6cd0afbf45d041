"""Writes labels as CSV that `loom bench` reads, and reads labels from whatever Loom reads."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loom.benchmarks.data.labels import named_on_the_command_line, rows_of
from loom.benchmarks.data.verdicts import verdict_of
from loom.benchmarks.shown.files import put
from loom.labelling.label_session import checked_person, checked_text
from loom.labelling.people import agreed
from loom.project.config import LoomConfig
from loom.rescoring.evaluate import ended_run, opened_state, settings_of
from loom_common.async_engine import AsyncEngine
from loom_common.domain.checks.record_checks import key_of
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.json_values.shown import Shown
from loom_common.errors import ConfigurationError, RecordError
from loom_coordinator.db.outputs import labels
from loom_coordinator.db.outputs.labels import FAIL, PASS, SKIP, Label
from loom_coordinator.db.run import Run

_PAGE = 500
_EXAMPLES = 5
_ID, _EXPECTED = "record_id", "expected"
_VERDICTS = ("verdict", "right", "label")


@dataclass(frozen=True, slots=True)
class Written(Shown):
    """Says what was written to a file of labels."""

    file: str
    records: int
    disputed: int
    """The number of records left out because as many persons would let them pass as not."""


@dataclass(frozen=True, slots=True)
class Imported(Shown):
    """Says what was read from a file of labels."""

    run_id: str
    file: str
    rows: int
    kept: int
    """The number of labels that are stored now."""
    replaced: int
    """Counts the verdicts that stand in the place of others of the same persons."""
    empty: int
    """The number of rows without a verdict."""
    unknown: int
    """The number of rows that name a record which the run has not scored."""
    unknown_examples: Sequence[str]


async def write(config: LoomConfig, run_id: str, file: Path, *, person: str | None, field: str | None) -> Written:
    """Write what people said of a run's records: of one person, or what most of them say. With `field`, a column
    `expected` holds what this field of the output should be: its value where the record passed, else what a person
    entered. Raises `NotFound`, and `ConfigurationError` where there is nothing, or it cannot be written."""
    async with opened_state(settings_of(config)) as engine:
        run = await ended_run(engine, config, run_id)
        async with engine.connect() as connection:
            said = await labels.of_run(connection, run_id, person)
        verdicts = agreed(said)
        spoken = {each.record_id: each for each in said if each.verdict != SKIP}
        if not spoken:
            of = "" if person is None else f" by {person}"
            raise ConfigurationError(f"No record of run {run_id} has been judged{of}, so there is nothing to write.")
        text, number = await _text(engine, run, said, {name: verdicts[name] for name in spoken}, field)
    put(text, file)
    return Written(str(file), number, len(spoken) - number)


async def _text(
    engine: AsyncEngine, run: Run, said: Sequence[Label], verdicts: dict[str, bool | None], field: str | None
) -> tuple[str, int]:
    keys = _keys(run)
    names = [*keys, *([] if _ID in keys else [_ID]), "verdict", *([] if field is None else [_EXPECTED])]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*names, "person", "comment", "stratum", "probability", "labelled_at"])
    writer.writeheader()
    number = 0
    for record_id, passes in sorted(verdicts.items()):
        if passes is None:
            continue
        mine = [each for each in said if each.record_id == record_id and each.verdict == (PASS if passes else FAIL)]
        async with engine.connect() as connection:
            found = await labels.contents(connection, run.run_id, record_id)
        record: dict[str, Any] = found.record_data if found is not None and isinstance(found.record_data, dict) else {}
        output = found.output if found is not None and isinstance(found.output, dict) else {}
        row = {name: _cell(record.get(name)) for name in keys}
        if not found and len(keys) == 1:
            row = {keys[0]: record_id}
        entered = next((each.expected for each in mine if each.expected is not None), None)
        row |= {
            _ID: record_id,
            "verdict": PASS if passes else FAIL,
            "person": ", ".join(each.person for each in mine),
            "comment": " | ".join(each.comment for each in mine if each.comment),
            "stratum": mine[0].stratum,
            "probability": mine[0].probability,
            "labelled_at": max(each.labelled_at for each in mine).isoformat(timespec="seconds"),
        }
        if field is not None:
            row[_EXPECTED] = entered if entered is not None else _cell(output.get(field)) if passes else None
        writer.writerow(row)
        number += 1
    return stream.getvalue(), number


async def read(config: LoomConfig, run_id: str, source: str, person: str) -> Imported:
    """Store the labels of a file or an address. The column `verdict` (or `right`, as in what `loom bench run` exports,
    or `label`) says pass or fail, or another word for it, or `skip`; `record_id`, or else the columns of
    `extract.key`, names the record; `person`, `comment` and `expected` may be there. Nothing is stored unless all rows
    can be read. Raises `NotFound`, `ConfigurationError`, and what reading the source raises."""
    async with opened_state(settings_of(config)) as engine:
        run = await ended_run(engine, config, run_id)
        rows = empty = 0
        found: dict[tuple[str, str], dict[str, Any]] = {}
        async for record in rows_of(ExtractConfig(source=source), named_on_the_command_line(config)):
            rows += 1
            if record.error is not None:
                raise ConfigurationError(f"{source}: {record.error}")
            row = _row(source, rows, record.data, run, person)
            if row is None:
                empty += 1
                continue
            place = (row["record_id"], row["person"])
            if found.setdefault(place, row)["verdict"] != row["verdict"]:
                raise ConfigurationError(
                    f"{source}: {row['person']} judges the record {row['record_id']} twice, and says "
                    f"{found[place]['verdict']} and {row['verdict']}. Keep one of them."
                )
        return await _kept(engine, run, source, list(found.values()), rows, empty)


async def _kept(
    engine: AsyncEngine, run: Run, source: str, found: list[dict[str, Any]], rows: int, empty: int
) -> Imported:
    names = sorted({each["record_id"] for each in found})
    async with engine.begin() as connection:
        known: set[str] = set()
        for place in range(0, len(names), _PAGE):
            known |= (await labels.scores_of(connection, run.run_id, names[place : place + _PAGE])).keys()
        before = {(each.record_id, each.person): each.verdict for each in await labels.of_run(connection, run.run_id)}
        drawn = {
            each.record_id: each
            for sample in await labels.samples(connection, run.run_id)
            for each in await labels.sampled(connection, run.run_id, sample.subject)
        }
        mine = [each for each in found if each["record_id"] in known]
        if not mine:
            example = f", e.g. {names[0]!r}" if names else ""
            raise ConfigurationError(
                f"{source}: none of {rows:,} rows judges a record that run {run.run_id} has scored{example}. The "
                f"column `{_ID}` names it, or else those of `extract.key` ({', '.join(_keys(run)) or 'there is none'})."
            )
        for each in mine:
            there = drawn.get(each["record_id"])
            each["stratum"] = None if there is None else there.stratum
            each["probability"] = None if there is None else there.probability
        for place in range(0, len(mine), _PAGE):
            await labels.keep(connection, run.run_id, mine[place : place + _PAGE])
    unknown = [name for name in names if name not in known]
    return Imported(
        run_id=run.run_id,
        file=source,
        rows=rows,
        kept=len(mine),
        replaced=sum(
            before.get((each["record_id"], each["person"]), each["verdict"]) != each["verdict"] for each in mine
        ),
        empty=empty,
        unknown=sum(each["record_id"] not in known for each in found),
        unknown_examples=unknown[:_EXAMPLES],
    )


def _row(source: str, number: int, data: dict[str, Any], run: Run, person: str) -> dict[str, Any] | None:
    column = next((name for name in _VERDICTS if name in data), None)
    if column is None:
        raise ConfigurationError(
            f"{source} has no column `verdict`, which says pass, fail or skip; it has {', '.join(data)}."
        )
    word = data[column]
    if word is None or (isinstance(word, str) and not word.strip()):
        return None
    verdict = SKIP if str(word).strip().casefold() == SKIP else verdict_of(word)
    if verdict is None:
        raise ConfigurationError(
            f"{source}, row {number}: {str(word)[:80]!r} is no verdict; expected pass, fail or skip (or yes and no, 1 "
            "and 0)."
        )
    return {
        "record_id": _id(source, number, data, run),
        "person": checked_person(str(data.get("person") or person)),
        "verdict": verdict,
        "comment": checked_text(_text_of(data.get("comment")), "comment"),
        "expected": checked_text(_text_of(data.get(_EXPECTED)), _EXPECTED),
        "via": "import",
        "labelled_at": dt.datetime.now(dt.UTC),
    }


def _id(source: str, number: int, data: dict[str, Any], run: Run) -> str:
    if data.get(_ID) not in (None, ""):
        return str(data[_ID])
    keys = _keys(run)
    if not keys:
        raise ConfigurationError(f"{source}, row {number}: the column `{_ID}` does not name a record.")
    try:
        return key_of(data, keys, f"row {number}")
    except RecordError as error:
        raise ConfigurationError(f"{source}: {error}") from None


def _keys(run: Run) -> tuple[str, ...]:
    written = (run.definition.get("extract") or {}).get("key")
    return (written,) if isinstance(written, str) else tuple(written or ())


def _text_of(value: Any) -> str | None:
    return None if value is None else str(_cell(value))


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list | bool) else value
