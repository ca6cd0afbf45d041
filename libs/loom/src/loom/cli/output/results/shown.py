"""Prints the records of a run, and one of them whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from loom.cli.output import kept_record, terminal
from loom.cli.output.formats import Format
from loom.cli.output.tables import Among, Column, print_rows
from loom.results.records import RecordResult, Results
from loom_common.domain.json_values.shown import as_json


def print_results(found: Results, flags: str) -> None:
    """Print a line for each record."""
    kept = any(each.reason for each in found.records)
    columns = [
        Column("record_id", "record", keep=True),
        Column("outcome", "outcome", keep=True),
        Column("scores", "scores", _scores),
        Column("output", "output", _compact),
        *([Column("reason", "reason", optional=True)] if kept else []),
    ]
    among = Among(max(found.in_all, len(found.records)), "record", "`--limit N` shows more")
    print_rows(found.records, columns, Format.TABLE, f"Run {found.run_id} has no record that can be shown.", among)
    if found.trouble:
        terminal.say(f"Those that were loaded cannot be shown: {found.trouble}")
    if found.records:
        first = found.records[0].record_id
        terminal.say(f"`loom show {found.run_id} {first}{flags}` shows all that is known of one.")


def print_record(found: RecordResult, console: Console) -> None:
    """Print all that is known of a record, part by part."""
    document = found.as_json()
    kept_record.print_parts(document, _parts(document), console)


def _parts(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if (kept := record["kept"]) is not None:
        for title, text in kept_record.parts_of(kept):
            yield title, text
            if title == "prompt":
                yield from _answers(record)
        if not record["prompt"]:
            yield from _answers(record)
        return
    yield "outcome", record["outcome"]
    yield "cost", kept_record.cost_of(record)
    yield "input", kept_record.as_text(record["input"])
    if record["prompt"]:
        yield "prompt", record["prompt"]
    yield from _answers(record)
    if record["output"] is not None:
        yield "output", kept_record.as_text(record["output"])
    if record["answered_by"] is not None:
        yield "answered", kept_record.answered(record["answered_by"])
    if record["gone"]:
        yield "output", f"gone: {record['gone']}"
    if record["scores"]:
        yield "scores", "\n".join(line for score in record["scores"] for line in kept_record.score_lines(score))


def _answers(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for each in record["answers"] or ():
        took = terminal.latency(each["latency_seconds"])
        told = f"{each['purpose']} by {each['model']}, {each['tokens_in']} + {each['tokens_out']} tokens, "
        told += f"{terminal.money(each['cost'])}, {took}"
        yield "answer", f"{told}\n{each['text']}"
    if record["prompt"] and record["answers"] == []:
        yield "answer", "none that this run paid for: it was asked before, and the answer used again"


def _scores(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {score:.2f}" for name, score in scores.items()) or "-"


def _compact(output: Mapping[str, Any] | None) -> str:
    return "-" if output is None else json.dumps(as_json(output), ensure_ascii=False, default=str)
