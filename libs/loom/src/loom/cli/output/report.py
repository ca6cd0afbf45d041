"""Shows people what a run came to. Programs get the same as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from loom.cli.output import sample_rows, schema_changes, step_counts, terminal
from loom_common.console.window_notes import window_notes
from loom_common.contracts.v1 import StreamWindow
from loom_common.domain.values.plural import counted

_STYLES = {"succeeded": "bold green", "partial": "bold yellow", "failed": "bold red", "cancelled": "bold yellow"}
_OUTCOMES = {"warned": "yellow", "quarantined": "yellow", "failed": "red"}
_MANY = 100
"""The number of records from which on a share that is far from what was expected is told."""
_FAR = 0.1


def print_report(report: Mapping[str, Any], console: Console, flags: str = "") -> None:
    """Print a `RunReport`, as a mapping. `flags` are added to the commands it suggests."""
    console.print(render(report))
    if following := next_commands(report, flags):
        _print_commands(following, console)


def render(report: Mapping[str, Any]) -> RenderableType:
    """Return the report without the commands that may follow."""
    parts: list[RenderableType] = [_head(report), Text(), step_counts.Records(report["records"]), Text()]
    if report.get("steps"):
        parts += [step_counts.table(report["steps"]), Text()]
    if report["evaluation"]:
        parts += [_evaluators(report["evaluation"]), Text()]
    if report.get("checks"):
        parts += [_checks(report["checks"]), Text()]
    if report.get("drift"):
        parts += [schema_changes.rendered(report["drift"]), Text()]
    if report.get("reasons"):
        parts += [why_kept(report), Text()]
    if report.get("rows"):
        parts += [sample_rows.table(report["rows"], report["records"]["loaded"]), Text()]
    parts.append(_facts(report))
    if report.get("alerts"):
        parts += [Text(), _alerts(report["alerts"])]
    return terminal.Trimmed(Group(*parts))


def next_commands(report: Mapping[str, Any], flags: str = "") -> list[tuple[str, str]]:
    """Return the commands to look further, with what each tells."""
    run_id, name, records = report["run_id"], report["pipeline"], report["records"]
    kept = sum(records.get(what, 0) for what in ("rejected", "quarantined", "skipped"))
    commands = []
    if report.get("reason") == "failure_limit":
        commands.append((f"loom resume {run_id}", "go on, counting failures anew"))
    elif report["status"] not in ("succeeded", "partial", "failed", "cancelled"):
        more = " --budget USD" if report.get("reason") == "budget_exhausted" else ""
        commands.append((f"loom resume {run_id}{more}", "finish it"))
    elif report["status"] == "failed" and report["error"] and not report.get("reason"):
        commands.append((f"loom resume {run_id}", "finish it, once its cause is mended"))
    if kept:
        which = "the record" if kept == 1 else f"the {counted(kept, 'record')}"
        commands.append((f"loom quarantine list --run-id {run_id}", f"{which} kept back"))
    if report.get("reasons"):
        first = shlex.quote(report["reasons"][0]["example"])
        commands.append(
            (
                f"loom quarantine show {first} --run-id {run_id}",
                f"{'it' if kept == 1 else 'one of them'}, with all that is known",
            )
        )
    commands.append((f"loom lineage {name} --run-id {run_id}", "where records came from and went"))
    commands.append((f"loom status {run_id}", "this report again"))
    return [(command + flags, why) for command, why in commands]


def _head(report: Mapping[str, Any]) -> RenderableType:
    status = str(report["status"])
    target = f" for {report['target']}" if report.get("target") else ""
    head = Text.assemble(
        (status, _STYLES.get(status, "bold")),
        "  ",
        f"{report['pipeline']} {report['version']}{target}  {report['run_id']}",
    )
    window = None if report.get("window") is None else StreamWindow.model_validate(report["window"])
    notes = [Text(words, style="dim") for words in window_notes(window)]
    error = [Text(str(report["error"]), style="red")] if report["error"] else []
    return Group(head, *notes, *error)


def _evaluators(evaluation: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column("Evaluator", min_width=11)
    for title in ("mean", "std", "min", "max", "threshold", "pass rate"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, scores in evaluation.items():
        threshold = scores["threshold"]
        table.add_row(
            Text(name),
            *(f"{scores[key]:.3f}" for key in ("mean", "std", "min", "max")),
            "-" if threshold is None else f"{threshold:g}",
            "-" if scores["pass_rate"] is None else f"{scores['pass_rate']:.1%}",
        )
    return table


def _checks(checks: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Return a table of the quality checks, and below it why the run as a whole misses some of them."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column("Check", min_width=11)
    table.add_column("stage")
    for title in ("checked", "missed"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("outcome")
    for each in checks:
        outcome = Text(each["outcome"], style=_OUTCOMES.get(each["outcome"], ""))
        table.add_row(
            Text(each["name"]), each["stage"], terminal.count(each["seen"]), terminal.count(each["missed"]), outcome
        )
    why = [Text(f"  {each['name']}: {each['reason']}", overflow="fold") for each in checks if each["reason"]]
    return Group(table, *why)


def _facts(report: Mapping[str, Any]) -> RenderableType:
    cost, calls, latency = report["cost"], report["calls"], report["latency"]
    seconds, extracted = report["duration_seconds"], report["records"].get("extracted", 0)
    speed = f" ({terminal.count(extracted / seconds)} records/s)" if seconds and extracted else ""
    waited = report.get("waited") or {}
    waits = waited.get("p50") is not None
    what = "from question to answer" if waits else "per record, transform"
    facts = {
        # A run that has not ended has no duration and no percentiles yet.
        **({"Duration": f"{terminal.duration(seconds)}{speed}"} if seconds else {}),
        **({"Partitions": f"{pieces} pieces of the source"} if (pieces := report.get("partitions", 1)) > 1 else {}),
        **({"Latency": f"{_percentiles(latency)}  {what}"} if latency.get("p50") is not None else {}),
        **({"Waited": f"{_percentiles(waited)}  besides: turn, limits, further tries"} if waits else {}),
        **({"Notice": str(report["notice"])} if report.get("notice") else {}),
        "Cost": f"{terminal.money(cost['total'])}  (transform {terminal.money(cost['transform'])}, "
        f"evaluate {terminal.money(cost['evaluate'])})",
        **({"Budget": words} if (words := of_budget(report.get("budget"))) else {}),
        **({"Estimate": words} if (words := of_estimate(report.get("estimate"))) else {}),
        **({"Cascade": "\n".join(map(of_cascade, found))} if (found := report.get("cascades")) else {}),
        "Calls": f"{terminal.count(calls['made'])} made, {terminal.count(calls['from_cache'])} from cache",
        **(
            {"No price": f"is known for {', '.join(unknown)}: say it in `prices`"}
            if (unknown := _unknown_prices(report))
            else {}
        ),
        **({"Estimated": words} if (words := _estimated(report)) else {}),
        "Results": f"{terminal.place(report['destination'])}{_unchanged(report)}",
        **({"Replay of": str(report["replay_of"])} if report.get("replay_of") else {}),
        **({"Spawned by": str(report["spawned_by"])} if report.get("spawned_by") else {}),
        **({"Spawned": "\n".join(map(of_spawned, spawned))} if (spawned := report.get("spawned")) else {}),
        **({"Second": words} if (words := of_second(report)) else {}),
        **({"Staged": words} if (words := of_staged(report)) else {}),
        **({"Sample": words} if (words := of_sample(report)) else {}),
    }
    return _pairs([(Text(name, style="bold"), Text(value, overflow="fold")) for name, value in facts.items()], 11)


def _unchanged(report: Mapping[str, Any]) -> str:
    """Say of a place that it may hold what somebody else put there, and nothing of this run."""
    return "  (unchanged: this run put nothing there)" if report.get("unchanged") else ""


def _percentiles(seconds: Mapping[str, float | None]) -> str:
    return "  ".join(f"{name} {terminal.latency(seconds.get(name))}" for name in ("p50", "p95", "p99"))


def of_cascade(cascade: Mapping[str, Any]) -> str:
    """Return in words what a cascade saved, and what is promised of it."""
    records, kept = cascade["records"], cascade["saved_calls"]
    share = f" ({kept / records:.1%})" if records else ""
    words = f"{cascade['name']}: {cascade['cheap']} decided {kept:,} of {counted(records, 'record')}{share}"
    words += f", {cascade['dear']} was asked about {cascade['asked']:,}"
    usd = cascade["saved_usd"]
    if usd is not None:
        words += f"; {terminal.money(abs(usd))} {'less' if usd >= 0 else 'more'} than with {cascade['dear']} alone"
    expected = cascade.get("expected")
    if expected is not None and records >= _MANY and cascade["asked"] / records > expected + _FAR:
        words += f" (in the sample it was asked about {expected:.0%}: the records differ from it)"
    return f"{words}. {cascade['promise']}" if cascade.get("promise") else f"{words}. Nothing is promised"


def of_budget(budget: Mapping[str, float] | None) -> str | None:
    """Return a run's budget in words; None without one."""
    if budget is None:
        return None
    limit, spent = budget["limit"], budget["spent"]
    return f"{terminal.money(spent)} of {terminal.money(limit)} ({spent / limit:.0%})"


def of_estimate(estimate: Mapping[str, float] | None) -> str | None:
    """Return what was estimated, and how far off it was; None without an estimate."""
    if estimate is None:
        return None
    words = f"{terminal.money(estimate['cost'])} for {counted(estimate['records'], 'record')}"
    if (error := estimate.get("error")) is None:
        return words
    if error >= 1:
        return f"{words}; a record cost {1 + error:.1f} times as much"
    return f"{words}; a record cost {abs(error):.1%} {'more' if error >= 0 else 'less'}"


def of_spawned(run: Mapping[str, Any]) -> str:
    """Return in words which run was spawned, and what became of it."""
    return f"{run['pipeline']}: {run['run_id']} ({run['status']})"


def of_second(report: Mapping[str, Any]) -> str | None:
    """Return how many records are in the second destination; None where there are none."""
    number = report["records"].get("second", 0)
    return f"{counted(number, 'record')} of those loaded went to `load.fallback`" if number else None


def of_staged(report: Mapping[str, Any]) -> str | None:
    """Return what lies beside the destination, and what can be done about it; None where nothing does."""
    number, run_id = report["records"].get("staged", 0), report["run_id"]
    if not number:
        return None
    where = f"{counted(number, 'record')} written to {report.get('staged_in')}, and not put in the destination"
    if report["status"] == "running":
        return f"{where} yet"
    return f"{where}: `loom resume {run_id}` goes on with them, `loom cancel {run_id}` removes them"


def of_sample(report: Mapping[str, Any]) -> str | None:
    """What a trial did not do; None for a run that is none."""
    if (number := report.get("sample")) is None:
        return None
    return (
        f"a trial over at most {counted(number, 'record')}: it loads beside the destination, and leaves that as it is"
    )


def why_kept(report: Mapping[str, Any]) -> RenderableType:
    """Return the reasons why records were kept back, the most frequent first, each with a record to look at."""
    rows = []
    for each in report["reasons"]:
        like = "" if each["alike"] else "e.g. "
        what = f"{each['records']:,} x {like}{each['reason']}"
        rows.append(Text(f"  {what}  ({each['outcome']} at {each['stage']}, e.g. {each['example']})", overflow="fold"))
    return Group(Text("Kept back", style="bold"), *rows)


def _alerts(alerts: Sequence[Mapping[str, Any]]) -> RenderableType:
    rows = []
    for alert in alerts:
        note = f" (not sent: {alert['error']})" if alert["error"] else ""
        rows.append((Text(f"  {alert['severity']}", style="yellow"), Text(f"{alert['message']}{note}")))
    return Group(Text("Alerts", style="bold"), _pairs(rows, None))


def _unknown_prices(report: Mapping[str, Any]) -> list[str]:
    return sorted({each["model"] for each in report.get("spending", ()) if each["unpriced"]})


def _estimated(report: Mapping[str, Any]) -> str | None:
    """Return how many calls are charged by an estimate, and why; None for none."""
    count = sum(each.get("estimated", 0) for each in report.get("spending", ()))
    if not count:
        return None
    calls = counted(count, "call")
    return f"{calls} by the length of the texts: the provider's token counts were missing or impossible"


def _print_commands(commands: Sequence[tuple[str, str]], console: Console) -> None:
    """Print each command whole, to be copied: what it tells stands beside it where there is room, else below."""
    console.print()
    console.print(Text("Next", style="bold"))
    width = max(len(command) for command, _ in commands)
    longest = max(len(why) for _, why in commands)
    beside = 2 + width + 3 + longest <= console.width
    for command, why in commands:
        told = Text(why, style="dim")
        line = Text.assemble(f"  {command:<{width}}   ", told) if beside else Text(f"  {command}")
        console.print(line, soft_wrap=True)
        if not beside:
            console.print(Text.assemble("      ", told), soft_wrap=True)


def _pairs(rows: list[tuple[Text, Text]], width: int | None) -> RenderableType:
    grid = Table.grid(padding=(0, 3, 0, 0))
    grid.add_column(width=width)
    grid.add_column()
    for left, right in rows:
        grid.add_row(left, right)
    return grid
