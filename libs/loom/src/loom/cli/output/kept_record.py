"""Shows one quarantined record on the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from loom.cli.output import terminal
from loom_common.domain.values.plural import counted


def print_record(record: Mapping[str, Any], console: Console) -> None:
    """Print all that is known of a record, part by part."""
    print_parts(record, parts_of(record), console)


def print_parts(record: Mapping[str, Any], parts: Iterable[tuple[str, str]], console: Console) -> None:
    """Print whose record it is, and each part with its title; a part of several lines stands below it."""
    console.print(Text(f"{record['record_id']} of {record['run_id']} ({record['pipeline']})", style="bold"))
    for title, text in parts:
        lines = text.splitlines() or [""]
        if len(lines) == 1:
            console.print(Text(f"  {title:<10} {lines[0]}"), soft_wrap=True)
            continue
        console.print(Text(f"  {title}"))
        for line in lines:
            console.print(Text(f"    {line}"), soft_wrap=True)


def parts_of(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what is known of a record that was kept back: the title of each part, and its text."""
    yield record["outcome"], f"at {record['stage']}, {terminal.moment(record['quarantined_at'])} UTC, {record['code']}"
    yield "reason", record["reason"]
    yield from _origin(record)
    if record["resolved"]:
        by = f" by {record['resolved_by']}" if record["resolved_by"] else ""
        yield "resolved", f"{record['resolution_action']}{by}, {terminal.moment(record['resolved_at'])} UTC"
    if record["replay_of"]:
        yield "replay of", record["replay_of"]
    yield "attempts", terminal.count(record["attempts"])
    yield "cost", cost_of(record)
    yield "input", as_text(record["input"])
    if record["prompt"]:
        yield "prompt", record["prompt"]
    if record["output"] is not None:
        yield "output", as_text(record["output"])
    if record["answered_by"] is not None:
        yield "answered", answered(record["answered_by"])
    if record["details"]:
        yield "details", as_text(record["details"])
    if record["scores"]:
        yield "scores", "\n".join(line for score in record["scores"] for line in score_lines(score))
    for before in record["kept_before"]:
        yield "kept first", f"by {before['run_id']} at {before['failure_stage']}: {before['failure_reason']}"
    for replay in reversed(record["replays"]):
        yield "kept again", f"by {replay['run_id']} at {replay['failure_stage']}: {replay['failure_reason']}"


def _origin(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield of which record a step made it, where one did."""
    if record["derived_from"]:
        made = record["derived_from"]
        others = f" and {counted(made['members'] - 1, 'other record')}" if made["members"] > 1 else ""
        yield "made of", f"{made['parent']}{others} by the step {made['step']}"


def cost_of(record: Mapping[str, Any]) -> str:
    """Say what a record cost, and for which calls."""
    if record["calls"] is None:
        return "not known record by record where the journal is in Redis"
    calls = ", ".join(f"{each['calls']} {each['purpose']} by {each['model']}" for each in record["calls"])
    return f"{terminal.money(record['cost'])} ({calls or 'no call paid for it'})"


def answered(by: Mapping[str, Any]) -> str:
    """Say which tier of a cascade, or which fallback, answered a record."""
    return f"by {by['name']}" + (f", the {by['tier']} tier of the cascade" if by["tier"] else "")


def score_lines(score: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that tell what an evaluator said."""
    threshold = "" if score["threshold"] is None else f", threshold {score['threshold']:g}"
    sure = "" if score["confidence"] is None else f", confidence {score['confidence']:.2f}"
    value = "no score" if score["score"] is None else f"{score['score']:.2f}"
    by = f", by {score['answered_by']}, the {score['tier']} tier" if score["tier"] else ""
    yield f"{score['evaluator_name']}: {value}{threshold}{sure}{by}"
    for line in (score["explanation"] or "").splitlines():
        yield f"  {line}"


def as_text(value: Any) -> str:
    """Write a value as JSON that people read."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)
