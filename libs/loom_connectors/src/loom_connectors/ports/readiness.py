"""Looks at a source and at a destination before a run: whether they can be read and written, and what columns they
have. The command line looks in its own process; on a cluster an extractor and a loader look, and say it in the same
words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from loom_common.domain.checks.check import Check
from loom_common.domain.checks.field_names import Compared
from loom_common.domain.definition.extract import ExtractConfig
from loom_common.domain.definition.load import LoadConfig
from loom_common.domain.values import plural
from loom_common.domain.values.fields import Fields
from loom_common.domain.values.urls import redacted
from loom_common.errors import LoomError, TransientError
from loom_connectors.ports.destination import ComparableDestination, Destination, Guarantee, StartingSource
from loom_connectors.ports.source import Source

_IN_SEQUENCE = (Guarantee.LEDGER, Guarantee.OBJECT)
"""Lists what a destination must make of a batch that arrives twice, so that no row of it follows a later one."""
Compare = Callable[[Fields | None], Compared]
"""Compares the names in a definition with the fields of its source; None where these are not known."""
Tell = Callable[[LoomError], str]
"""Says in words what was raised."""


async def of_source(
    open_source: Callable[[], Awaitable[Source]], extract: ExtractConfig, compare: Compare, tell: Tell, *, counted: bool
) -> list[Check]:
    """Check the source, and the fields that the pipeline names of it and of its output. `counted`: also count its
    records, where that is cheap. Raises nothing of `LoomError`."""
    fields, number, has_key = None, None, True
    started: list[Check] = []
    try:
        source = await open_source()
        try:
            fields = await source.fields()
            found = compare(fields)
            has_key = not any(problem.path[:2] == ("extract", "key") for problem in found.problems)
            if has_key:
                await source.check()
                number = await source.count() if counted else None
                started = await _started(source, extract)
        finally:
            await source.close()
    except LoomError as error:
        return [not_ready("source", error, tell), *of_fields(replace(compare(fields), warnings=()))]
    words = f" ({plural.counted(number, 'record')})" if number is not None else ""
    place = f"{redacted(extract.source)}{words}"
    return [Check("source", ok=True, detail=place, records=number, fields=fields), *started, *of_fields(found)]


def of_given_records(compare: Compare) -> list[Check]:
    """Check the fields that the pipeline names of its output. What records have that were given, nobody looks at."""
    given = Check("source", ok=True, detail="records that were given to the run")
    return [given, *of_fields(replace(compare(None), warnings=()))]


def of_fields(found: Compared) -> list[Check]:
    """Return what is to say of the names that were compared with fields."""
    checks = [Check("fields", ok=True, detail=words, doubtful=True) for words in found.warnings]
    if found.problems:
        number = len(found.problems)
        words = "1 name is no field" if number == 1 else f"{number} names are no fields"
        checks.append(Check("fields", ok=False, detail=words, problems=found.problems))
    return checks


async def of_destination(
    destination: Destination, load: LoadConfig, what: str, tell: Tell, *, in_sequence: bool = False
) -> list[Check]:
    """Do what `of_open_destination` does, and close the destination."""
    try:
        try:
            return await of_open_destination(destination, load, what, tell, in_sequence=in_sequence)
        finally:
            await destination.close()
    except LoomError as error:
        return [not_ready(what, error, tell)]


async def of_open_destination(
    destination: Destination, load: LoadConfig, what: str, tell: Tell, *, in_sequence: bool = False
) -> list[Check]:
    """Check the destination, and compare its columns with those that are written. `what` is which one it is;
    `in_sequence` tells whether records of one key have to be loaded one after the other. Raises nothing of
    `LoomError`."""
    try:
        await destination.check()
        fits = await destination.fits() if isinstance(destination, ComparableDestination) else ()
    except LoomError as error:
        return [not_ready(what, error, tell)]
    words = f"{redacted(load.destination)}: {destination.guarantee}; {destination.effect}"
    if in_sequence and destination.guarantee not in _IN_SEQUENCE:
        words += ". `order_by` needs one that loads a batch exactly once: here an earlier row may follow a later one"
        return [Check(what, ok=False, detail=words)]
    return [Check(what, ok=True, detail=words, fits=fits)]


def not_ready(what: str, error: LoomError, tell: Tell) -> Check:
    """Return the check of a source or a destination that raised an error."""
    return Check(what, ok=False, detail=tell(error), away=isinstance(error, TransientError), error=error)


async def _started(source: Source, extract: ExtractConfig) -> list[Check]:
    """Say whether the system that is read leaves out older records itself. Raises what the source raises."""
    if extract.incremental is None:
        return []
    words = await source.starts_by() if isinstance(source, StartingSource) else None
    told = f"the source is asked for {words}" if words else "all of the source is read, and older records are left out"
    return [Check("incremental", ok=True, detail=told)]
