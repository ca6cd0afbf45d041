"""Implements `loom simulate-model`, which starts a provider without a model, for trying things without a key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loom.cli.options.common import Verbose
from loom_common.domain.values.plural import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loom_ai.simulated.server import SimulatedModel


def _named(host: str) -> str:
    """Return the address. Raises `typer.BadParameter` for an empty one, which would be every address of the machine."""
    if not host.strip():
        raise typer.BadParameter("it is empty: name an address, such as 127.0.0.1 for this machine alone")
    return host


def simulate_model(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMMAND]...",
            help="A command to run beside it, such as `-- loom run pipeline.yaml`. The model ends with the command.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[int, typer.Option(metavar="PORT", help="Where to listen; 0 for any free port.")] = 8089,
    host: Annotated[str, typer.Option(metavar="HOST", help="The address to listen on.", callback=_named)] = "127.0.0.1",
    latency: Annotated[
        str, typer.Option(metavar="TIME", help="What an answer takes, in the median: `300ms`, `2s`.")
    ] = "0ms",
    latency_p99: Annotated[
        str | None, typer.Option(metavar="TIME", help="What one answer in a hundred exceeds. Default: none.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Completion tokens that each answer reports. Default: its text's.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SHARE",
            help="Share of calls that go wrong, e.g. `429=0.05`: `429`, `500`, `hang`, `bad_json`, `truncated`, "
            "`refused`, `not_chat`. May be repeated.",
        ),
    ] = None,
    retry_after: Annotated[
        str, typer.Option(metavar="TIME", help="How long a 429 asks to wait, as Retry-After.")
    ] = "200ms",
    requests_per_minute: Annotated[
        int | None, typer.Option(metavar="N", help="Answer with 429 what comes beyond this in any 60 s.")
    ] = None,
    api_key: Annotated[str | None, typer.Option(metavar="TEXT", help="Refuse calls without this key.")] = None,
    variety: Annotated[
        float,
        typer.Option(
            metavar="SHARE", min=0, max=1, help="Share of calls whose answer differs from the question's usual one."
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Of faults, latencies, `--variety` and `--right`.")] = 0,
    answers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A CSV or JSON Lines file of texts and their answers: a question that holds one of the texts is "
            "answered by it.",
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="With --answers: the column of the texts. Default: the first."),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=COLUMN",
            help="With --answers: the column that holds a field of the answer. May be repeated. Default: each column "
            "is the field of its name.",
        ),
    ] = None,
    right: Annotated[
        float,
        typer.Option(
            metavar="SHARE", min=0, max=1, help="With --answers: the share of the texts that are answered by it."
        ),
    ] = 1.0,
    verbose: Verbose = False,  # noqa: ARG001 - read by `main`
) -> None:
    """Serve SIMULATED model answers until Ctrl-C, or while COMMAND runs. No model is asked: answers are made up.

    They fit the schema that was asked for. It speaks as OpenAI, Anthropic and Google do. Its base URL goes to stdout.
    `GET /stats` tells how many calls and tokens it counted; `POST /faults` with `["500", "hang"]` makes the next calls
    go wrong. With `--answers`, it answers as a model would that is right as often as `--right` says. A command after
    `--` runs beside it, finds it as the provider `simulated`, and gives its exit code. See docs/models.md."""
    from loom.cli.commands.follow import wait_for
    from loom_ai.simulated.known import read_answers
    from loom_ai.simulated.latency import Latency
    from loom_ai.simulated.server import SimulatedModel

    if answers is None and (text is not None or field or right != 1.0):
        raise typer.BadParameter("--text, --field and --right say how --answers are read; name that file, too")
    known = None if answers is None else read_answers(answers, text, dict(map(_column, field or ())), right, seed)
    p99 = None if latency_p99 is None else _seconds(latency_p99)
    code = wait_for(
        _serve(
            SimulatedModel(
                latency=Latency(_seconds(latency), p99),
                tokens_per_answer=tokens,
                rates=dict(map(_share, fault or ())),
                retry_after=_seconds(retry_after),
                requests_per_minute=requests_per_minute,
                api_key=api_key,
                variety=variety,
                seed=seed,
                known=known,
            ),
            host,
            port,
            command,
        )
    )
    raise typer.Exit(code)


async def _serve(server: SimulatedModel, host: str, port: int, command: Sequence[str] | None) -> int:
    """Serve until Ctrl-C, or until the command has ended. Returns the command's exit code. Raises
    `ConfigurationError`."""
    import asyncio

    from loom.cli.output import stdout
    from loom.cli.output.terminal import say
    from loom_common.errors import ConfigurationError
    from loom_common.service import entry

    stop = asyncio.Event()
    entry.call_on_interrupt(stop.set)
    try:
        await server.start(port, host)
    except OSError as error:
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. Choose another with --port."
        ) from error
    try:
        if command:
            return await _beside(server, command)
        stdout.stream().write(f"{server.base_url}\n")
        stdout.stream().flush()
        say(
            f"Simulated model: answers are made up. In a pipeline: `base_url: {server.base_url}`; "
            f"counts: {server.root_url}/stats. Ctrl-C ends it."
        )
        await stop.wait()
    finally:
        await server.stop()
    stats = server.stats
    say(f"{counted(stats['calls'], 'call')}, {stats['answered']:,} answered, {stats['most_at_once']} at once at most.")
    return 0


async def _beside(server: SimulatedModel, command: Sequence[str]) -> int:
    """Run a command whose provider `simulated` is this server. Returns its exit code. Ctrl-C reaches the command by
    itself, and SIGTERM is passed on to it. Raises `ConfigurationError`."""
    import asyncio
    import os
    import signal
    import sys

    from loom_common.errors import ConfigurationError

    try:
        child = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, "SIMULATED_BASE_URL": server.base_url}
        )
    except OSError as error:
        raise ConfigurationError(f"Cannot run {command[0]!r}: {(error.strerror or str(error)).lower()}.") from error
    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, child.terminate)
    code = await child.wait()
    return code if code >= 0 else 128 - code


def _seconds(text: str) -> float:
    """Read a duration such as `300ms`, `2s` or `1.5s`. Raises `typer.BadParameter`."""
    number, unit = (text[:-2], 1000.0) if text.endswith("ms") else (text.removesuffix("s"), 1.0)
    try:
        seconds = float(number) / unit
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise typer.BadParameter(f"{text!r} is no time; write 300ms or 2s")
    return seconds


def _column(text: str) -> tuple[str, str]:
    """Read the column of a field, such as `sentiment=expected`. Raises `typer.BadParameter`."""
    name, equals, column = text.partition("=")
    if not name or not equals or not column:
        raise typer.BadParameter(f"{text!r} is no FIELD=COLUMN, such as sentiment=expected")
    return name, column


def _share(text: str) -> tuple[str, float]:
    """Read a share such as `429=0.05`. Raises `typer.BadParameter`."""
    from loom_ai.simulated.server import FAULTS

    name, _, share = text.partition("=")
    if name not in FAULTS:
        raise typer.BadParameter(f"{name!r} is no fault; one of {', '.join(FAULTS)}")
    try:
        number = float(share)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise typer.BadParameter(f"{text!r}: the share is a number from 0 to 1, e.g. {name}=0.05")
    return name, number
