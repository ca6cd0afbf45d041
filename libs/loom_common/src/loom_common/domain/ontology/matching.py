"""Matches fields of records to the concepts that they stand for, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from loom_common.domain.ontology.model import Concept, Metric, Ontology, Role, ValueType

SURE = 0.6
"""The least confidence with which a field counts as standing for a concept."""
_WHOLE, _LEAST, _BY_LETTERS = 0.95, 0.5, 0.4
"""Say how sure a match is: one of a whole name, and one of a part, by how much of the name the part is."""
_MISFIT = 0.3
"""Says what share of a confidence is left where the values have another type than the concept's."""
_CAPITAL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_WORD = re.compile(r"[^a-z0-9*]+")


@dataclass(frozen=True, slots=True)
class Match:
    """Says what a field stands for, and how sure that is."""

    column: str
    concept: str | None
    """The name of a concept or a metric; None where none fits."""
    confidence: float
    """Is a share from 0 to 1."""
    why: str
    role: Role | None = None
    type: ValueType | None = None
    by: str = "pattern"


def words_of(name: str) -> str:
    """Return a name in one form of writing: `customerID`, `Customer ID` and `customer-id` are all `customer_id`."""
    return _NO_WORD.sub("_", _CAPITAL.sub("_", name).lower()).strip("_")


def matches(columns: Iterable[str], ontology: Ontology, kinds: Mapping[str, str] | None = None) -> list[Match]:
    """Return for each field what it stands for best. `kinds` says of what type the values are, where that is known:
    `number`, `string`, `boolean`, `date` or `datetime`."""
    return [_best(column, ontology, (kinds or {}).get(column)) for column in columns]


def columns_by_concept(found: Iterable[Match]) -> dict[str, str]:
    """Return by concept the field that stands for it most surely; of several that are as sure, the first."""
    best: dict[str, Match] = {}
    for each in found:
        if each.concept is not None and each.confidence >= SURE:
            known = best.get(each.concept)
            if known is None or each.confidence > known.confidence:
                best[each.concept] = each
    return {name: each.column for name, each in best.items()}


def certainty(column: str, name: str, indicators: Sequence[str]) -> tuple[float, str]:
    """Return how sure a field stands for what has this name and these indicators, and by which of them."""
    written = words_of(column)
    if written == name:
        return 1.0, f"is called {name}"
    found = max(((_sure(written, pattern), pattern) for pattern in indicators), default=(0.0, ""))
    return (found[0], f"fits {found[1]}") if found[0] else (0.0, "")


def _best(column: str, ontology: Ontology, kind: str | None) -> Match:
    role, kind_hinted = _hinted(column, ontology)
    best: tuple[float, str, Concept | Metric] | None = None
    every: list[Concept | Metric] = [*ontology.concepts, *ontology.metrics]
    for each in every:
        sure, why = certainty(column, each.name, each.indicators)
        if sure and kind is not None and not _is_of(each, kind):
            sure, why = sure * _MISFIT, f"{why}, though its values are of type {kind}"
        if sure and (best is None or sure > best[0]):
            best = (sure, why, each)
    if best is None:
        return Match(column, None, 0.0, "fits no indicator", role, kind_hinted)
    sure, why, found = best
    of_concept = (found.typical_role, found.type) if isinstance(found, Concept) else ("measure", "number")
    return Match(column, found.name, round(sure, 2), why, role or of_concept[0], kind_hinted or of_concept[1])


def _is_of(each: Concept | Metric, kind: str) -> bool:
    wanted = "number" if isinstance(each, Metric) or each.is_number else each.type
    if wanted is None or kind == wanted:
        return True
    # A code may be written in digits, a date is a text in most files, and an instant has a date.
    loose = {"string": {"number", "date", "datetime"}, "date": {"string", "datetime"}, "datetime": {"string", "date"}}
    return kind in loose.get(wanted, set())


def _hinted(column: str, ontology: Ontology) -> tuple[Role | None, ValueType | None]:
    """Return the role and the type that the most exact hint gives a field."""
    written = words_of(column)
    sure = ((_sure(written, hint.pattern), at, hint) for at, hint in enumerate(ontology.semantic_hints))
    best = max((each for each in sure if each[0]), key=lambda each: each[:2], default=None)
    return (None, None) if best is None else (best[2].role, best[2].type)


@lru_cache(maxsize=20_000)
def _sure(written: str, pattern: str) -> float:
    asked = words_of(pattern)
    whole = "".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", asked))
    if not re.fullmatch(whole, written):
        return 0.0
    if "*" not in asked:
        return _WHOLE
    letters = len(asked.replace("*", "").replace("_", ""))
    share = letters / max(len(written.replace("_", "")), 1)
    # A part that is words of its own says more than letters amid a word.
    bare = asked.strip("*").strip("_")
    apart = re.search(rf"(^|_){re.escape(bare)}(_|$)", written) is not None
    return min(_WHOLE - 0.01, (_LEAST if not apart else _LEAST + 0.1) + _BY_LETTERS * share) if letters else 0.0
