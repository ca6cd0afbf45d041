"""Tells, before a run, what becomes of each column that a pipeline writes into a table. It does no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from loom_common.domain.values.fields import ColumnFit
from loom_connectors.sql.columns import Kind

_CLASSES = (
    (re.compile(r"bool|tinyint\(1\)|bit$"), Kind.BOOLEAN),
    (re.compile(r"interval|point|.*\[\]"), None),
    (re.compile(r".*int|.*serial|bignum|oid"), Kind.INTEGER),
    (re.compile(r"numeric|decimal|real|double|float"), Kind.NUMBER),
    (re.compile(r"json"), Kind.JSON),
    (re.compile(r".*char|.*text|.*clob"), Kind.TEXT),
    (re.compile(r".*blob|bytea|.*binary"), Kind.BYTES),
)
"""Says which kind of values a type is for, as the SQL systems call it."""
_VECTORS = re.compile(r"(?:public\.)?vector|(?:real|double precision|float)\[\]|json|variant")
"""Matches types that hold vectors, those of pgvector among them."""
_WHOLE = (Kind.INTEGER, Kind.BIG_INTEGER)


def kind_of_type(declared: str) -> Kind | None:
    """Return the kind of values that a type is for; None for one that is for none of the kinds, such as a date."""
    return next((kind for form, kind in _CLASSES if form.match(declared.lower())), None)


def fits_of(
    wanted: Mapping[str, Kind | None],
    there: Mapping[str, str],
    type_of: Callable[[Kind], str],
    *,
    adds: bool,
    widens: bool,
) -> Sequence[ColumnFit]:
    """Compare the columns that a pipeline writes, with the kinds that are declared, with those of a table, which has
    none where it is not there. `adds` and `widens` say what may evolve."""
    found = []
    for name, kind in wanted.items():
        written = None if kind is None else kind.value
        if not there:
            done = f"created as {type_of(kind)}" if kind is not None else "created by its values"
            found.append(ColumnFit(name, written, None, done, fits=True))
        elif name not in there:
            done = f"added as {type_of(kind)}" if kind is not None else "added by its values"
            found.append(ColumnFit(name, written, None, done if adds else "missing: a run is refused", fits=adds))
        else:
            done, fits = _into(kind, there[name], widens=widens)
            found.append(ColumnFit(name, written, there[name], done, fits))
    others = {name: kind for name, kind in there.items() if name not in wanted}
    return [*found, *(ColumnFit(name, None, kind, "not written", fits=True) for name, kind in others.items())]


def _into(kind: Kind | None, declared: str, *, widens: bool) -> tuple[str, bool]:
    """Return what becomes of values of a kind in a column, and whether it takes all of them."""
    column = kind_of_type(declared)
    if kind is Kind.VECTOR and _VECTORS.match(declared.lower()):
        return "as it is", True
    if kind is None or kind == column or (kind in _WHOLE and column in _WHOLE):
        return "as it is", True
    if kind in _WHOLE and column is Kind.NUMBER:
        return "as a number", True
    if column is Kind.TEXT or (column is Kind.JSON and kind in (Kind.ANY, Kind.TEXT)):
        return "as JSON text" if kind in (Kind.JSON, Kind.VECTOR, Kind.ANY) else "as text", True
    if kind is Kind.NUMBER and column is Kind.INTEGER:
        return ("widened where a value has a fraction" if widens else "a value with a fraction is refused"), False
    if kind is Kind.TEXT:
        return f"a text that does not read as {declared} is refused", False
    return f"a value that {declared} does not take is refused", False
