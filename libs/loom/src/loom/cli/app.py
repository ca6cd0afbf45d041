"""Runs `loom` as a process: its commands are imported when it has begun, and what reaches the top becomes a line.

Exit codes: 0 succeeded, 1 failed, 2 bad usage or configuration, 3 partial, 4 cancelled, 130 interrupted."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from loom_common.service import entry, standard_streams


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. Ends the process: every way out is an exit code."""
    if arguments is None:
        entry.begin()
        standard_streams.keep_open()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if strange := [each for each in given if not each.isascii() and _is_no_text(each)]:
        words = f"The argument {strange[0]!r} is not UTF-8. Rename the file, or write it in UTF-8."
        sys.stderr.write(f"error: {words}\n")
        if _asks_for_json(given):
            _print_error(words)
        sys.exit(2)
    from loom.cli.output import stdout
    from loom.cli.root_command import command

    if arguments is None:
        stdout.keep_apart_for_good()
    code = 0
    try:
        command(given)(args=given, prog_name="loom")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if _asks_for_json(given) and (words := _misuse(end)):
            _print_error(words)
    except Exception as raised:  # noqa: BLE001 - the rim of the process: told to the person, settled as an exit code
        error = (arguments is None and stdout.refused()) or raised
        code = tell(error, verbose="--verbose" in given)
        if _asks_for_json(given):
            _tell_programs(error)
    if arguments is None:
        stdout.refused()
        entry.see_that_it_ends(code)
    sys.exit(code)


def _asks_for_json(given: Sequence[str]) -> bool:
    return "--format=json" in given or any(pair == ("--format", "json") for pair in pairwise(given))


def _misuse(end: SystemExit) -> str:
    """Return what Typer has said on stderr about arguments that it cannot use, before it ended the process. Empty where
    the command itself has ended."""
    said = getattr(end.__context__, "format_message", None)
    return str(said()) if said is not None else ""


def _tell_programs(error: Exception) -> None:
    """Print one document on stdout, also where a command came to no result."""
    from loom_common.errors import InvalidDefinition
    from loom_common.file_errors import told
    from loom_common.text import words_of

    causes = _leaves(error)
    mistakes = [
        {"message": str(problem), "file": problem.file, "line": problem.line, "key": problem.key}
        for cause in causes
        if isinstance(cause, InvalidDefinition)
        for problem in cause.problems
    ]
    _print_error(" ".join(told(cause) or words_of(cause) for cause in causes), mistakes)


def _print_error(words: str, mistakes: Sequence[Mapping[str, Any]] = ()) -> None:
    """Print an error on stdout. Where nothing can be written there, it stands on stderr alone."""
    from loom.cli.output import terminal
    from loom_common.errors import DestinationError

    with contextlib.suppress(DestinationError, OSError):
        terminal.print_json({"error": words, "mistakes": list(mistakes)})


def _is_no_text(argument: str) -> bool:
    """Tell whether an argument held bytes that are no text: Python passes them on as halves of surrogate pairs."""
    return any("\ud800" <= each <= "\udfff" for each in argument)


def tell(error: Exception, *, verbose: bool) -> int:
    """Say what went wrong on stderr, without a traceback unless asked for. Returns the exit code."""
    import traceback

    from loom_common.errors import ConfigurationError, InvalidDefinition, LoomError
    from loom_common.file_errors import told
    from loom_common.text import words_of

    if verbose:
        traceback.print_exception(error)
    causes = _leaves(error)
    for cause in causes:
        if isinstance(cause, InvalidDefinition) and len(cause.problems) > 1:
            _say(f"error: {len(cause.problems)} mistakes\n" + "\n".join(f"  {problem}" for problem in cause.problems))
        elif isinstance(cause, LoomError):
            _say(f"error: {cause}")
        elif (sentence := told(cause)) is not None:
            _say(f"error: {sentence}")
        else:
            words = words_of(cause).partition("\n")[0].rstrip(".")
            hint = "" if verbose else " Run it again with --verbose to see where."
            _say(f"error: unexpected {type(cause).__name__}: {words}.{hint}")
    return 2 if all(isinstance(cause, ConfigurationError) for cause in causes) else 1


def _leaves(error: BaseException) -> list[BaseException]:
    """Return the errors themselves: tasks that fail together arrive as a group. Each message once."""
    from loom_common.text import named

    if not isinstance(error, BaseExceptionGroup):
        return [error]
    leaves = [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return list({named(leaf): leaf for leaf in leaves}.values())


def _say(text: str) -> None:
    from loom.cli.output.terminal import say

    say(text)
