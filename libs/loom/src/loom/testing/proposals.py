"""Makes tests of the records that earlier runs kept back, for people to choose from.

These are some of each cause, and those that failed their gate by the smallest margin."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from loom.project.config import LoomConfig
from loom.project.definition_file import LoadedPipeline
from loom.testing.definition.reader import FOLDER
from loom.views import open_views
from loom_common.errors import NotFound
from loom_quarantine.queries import RecordFilter, WholeRecord

_OF_A_CAUSE = 2
_BORDERLINE = 5
_LOOKED_AT = 10_000
_LONGEST_REASON = 60


@dataclass(frozen=True, slots=True)
class Proposal:
    """Represents a record that would make a test, and why."""

    record: WholeRecord
    why: str


async def proposals(loaded: LoadedPipeline, config: LoomConfig) -> list[Proposal]:
    """Return records of earlier runs of the pipeline that would make tests. Raises `NotFound` where none was kept
    back."""
    name, kept = loaded.pipeline.name, list[WholeRecord]()
    async with open_views(config) as views:
        async for record in views.quarantined_whole(RecordFilter(pipeline=name)):
            kept.append(record)
            if len(kept) == _LOOKED_AT:
                break
    if not kept:
        raise NotFound(f"No run of '{name}' is known here that kept a record back, so there is nothing to propose.")
    return chosen(kept, thresholds_of(loaded))


def thresholds_of(loaded: LoadedPipeline) -> dict[str, float]:
    """Return the thresholds of a pipeline's evaluators, by name."""
    evaluate = loaded.pipeline.evaluate
    evaluators = [] if evaluate is None else evaluate.evaluators
    return {each.name: each.threshold for each in evaluators if each.threshold is not None}


def chosen(kept: Iterable[WholeRecord], thresholds: Mapping[str, float]) -> list[Proposal]:
    """Choose among records, of which the newest come first: the borderline ones, then some of each cause. Each record
    once."""
    found: dict[str, Proposal] = {}
    records = list({each.record_id: each for each in reversed(list(kept))}.values())[::-1]
    margins = [(margin, each) for each in records if (margin := _margin(each, thresholds)) is not None]
    for margin, record in sorted(margins, key=lambda pair: pair[0])[:_BORDERLINE]:
        found[record.record_id] = Proposal(record, f"borderline: it missed its gate by {margin:.3g}")
    of_cause: dict[tuple[str, str], int] = {}
    for record in records:
        cause = (record.failure_stage, record.code)
        of_cause[cause] = of_cause.get(cause, 0) + 1
        if of_cause[cause] <= _OF_A_CAUSE:
            found.setdefault(record.record_id, Proposal(record, f"kept back at {cause[0]} for {cause[1]}"))
    return list(found.values())


def written(proposed: Iterable[Proposal], loaded: LoadedPipeline) -> str:
    """Write the proposals as a file of tests. Each expects what became of the record; a person decides whether that was
    right."""
    file = os.path.relpath(loaded.path.resolve(), loaded.folder / FOLDER)
    lines = [
        "# Proposed by `loom test --generate` from records that earlier runs kept back. Each test expects what became",
        "# of its record then. Decide what should become of it, change `expect`, and record: loom test --update",
        f"pipeline: {_json(Path(file).as_posix())}",
        "tests:",
    ]
    for proposal in proposed:
        record = proposal.record
        lines += [
            f"  # {_comment(proposal.why)}. {_comment(record.failure_reason)}",
            *([] if record.output is None else [f"  # Its output was {_comment(_json(record.output))}"]),
            f"  - name: {_json(_name(record))}",
            f"    input: {_json(record.record_data)}",
            "    expect:",
            "      gate: fails",
            f"      kept: {{stage: {record.failure_stage}, code: {_json(record.code)}}}",
        ]
    return "\n".join([*lines, ""])


def _margin(record: WholeRecord, thresholds: Mapping[str, float]) -> float | None:
    """Return by how much a record missed the threshold that it missed most; None where no score is below one."""
    scores = record.evaluation_scores or {}
    missed = [least - scores[name] for name, least in thresholds.items() if scores.get(name, least) < least]
    return max(missed, default=None)


def _name(record: WholeRecord) -> str:
    reason = " ".join(record.failure_reason.split())
    short = reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 3]}..."
    return f"record {record.record_id}: {short}"[:200]


def _json(value: object) -> str:
    """Write a value as JSON, which is YAML, too."""
    return json.dumps(value, ensure_ascii=True, default=str)


def _comment(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
