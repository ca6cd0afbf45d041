"""Shows what a run came to, as HTML."""

from __future__ import annotations

from loom.display.plots import records_by_end, scores
from loom_common.contracts.v1 import RunReport
from loom_common.domain.json_values.html_tables import table, text_of
from loom_common.domain.json_values.shown import as_json
from loom_common.domain.values.urls import redacted

_COLOURS = {"succeeded": "#2e9e5b", "partial": "#e0a100", "failed": "#d64545", "cancelled": "#5c6b7f"}


def run_html(report: RunReport) -> str:
    """Return a report as HTML: status, records, scores, reasons, checks, cost and the first rows of a sample."""
    parts = [_head(report), records_by_end(report.records), scores(report.evaluation)]
    if report.reasons:
        rows = [(each.records, each.outcome, each.stage, each.reason, each.example) for each in report.reasons]
        parts += [_title("Why records were kept back")]
        parts += [table(("records", "outcome", "stage", "reason", "for example"), rows)]
    if report.checks:
        checked = [(each.name, each.stage, each.seen, each.missed, each.outcome) for each in report.checks]
        parts += [_title("Quality checks"), table(("check", "stage", "seen", "missed", "outcome"), checked)]
    if report.spending:
        calls = [
            (each.stage, each.model, each.made, each.reused, each.tokens_in, each.tokens_out, each.cost)
            for each in report.spending
        ]
        columns = ("stage", "model", "calls", "reused", "tokens in", "tokens out", "USD")
        parts += [_title("Model calls"), table(columns, calls)]
    if report.alerts:
        parts += [_title("Alerts"), table((), [(each.type, each.message) for each in report.alerts])]
    if report.rows:
        rows_shown = as_json(list(report.rows))
        names = list(dict.fromkeys(name for row in rows_shown for name in row))
        parts += [_title("First rows"), table(names, [[row.get(name) for name in names] for row in rows_shown])]
    return f'<div style="max-width:960px">{"".join(parts)}</div>'


def run_text(report: RunReport) -> str:
    """Return the same in one line."""
    counts = ", ".join(f"{count:,} {end}" for end, count in report.records.items() if count and end in _ENDS)
    return f"{report.status}: {report.pipeline} {report.version}, {report.run_id}: {counts or 'no records'}"


_ENDS = (
    "extracted",
    "derived",
    "loaded",
    "filtered",
    "unnested",
    "grouped",
    "rejected",
    "quarantined",
    "skipped",
    "cancelled",
)


def _head(report: RunReport) -> str:
    colour = _COLOURS.get(report.status, "#5c6b7f")
    badge = f'<b style="color:{colour}">{text_of(report.status)}</b>'
    about = f"{text_of(report.pipeline)} {text_of(report.version)} &nbsp; <code>{text_of(report.run_id)}</code>"
    facts = [
        f"{report.duration_seconds:.1f} s",
        f"{report.cost['total']:.4f} USD",
        text_of(redacted(report.destination)),
    ]
    error = f'<div style="color:#d64545">{text_of(report.error)}</div>' if report.error else ""
    return f'<div style="margin-bottom:6px">{badge} &nbsp; {about} &nbsp; {" &nbsp; ".join(facts)}{error}</div>'


def _title(words: str) -> str:
    return f'<div style="margin-top:8px"><b>{words}</b></div>'
