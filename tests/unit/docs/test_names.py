"""The code and its documents use the standard terms of RabbitMQ, dataflow engines and SQL, and no figures of speech.

`OLD_CLASSES` and `OLD_VARIABLES` map the names that were replaced to the terms that stand for them now. Neither these
names nor `FIGURES` may come back."""

import ast
import io
import re
import tokenize
from functools import lru_cache
from pathlib import Path

import pytest

from support.documents import ROOT
from support.syntax import source_paths, statements

OLD_CLASSES = {
    "Bench": "a harness, or EvaluatorConfig",
    "Bill": "Usage",
    "Chosen": "Selection",
    "Duty": "ConsumerSpec",
    "Ending": "ExitWatchdog",
    "FactIntake": "FactConsumer",
    "Flight": "PendingCall",
    "Grouped": "Coalescer",
    "Hands": "InFlight",
    "Hearing": "EvaluationCall",
    "Heart": "Heartbeats",
    "Housekeeping": "PayloadCleanup",
    "Judgement": "EvaluationResult",
    "Leases": "ResourceCache",
    "LostWork": "BrokerLoss",
    "Notifying": "Webhook",
    "Panel": "EvaluatorRunner",
    "Pulse": "Sweeper",
    "Purse": "BudgetReservations",
    "Rehearsal": "DryRunClient",
    "RequestDesk": "RequestConsumer",
    "Room": "ReadWriteLock",
    "Surroundings": "ConnectorContext",
    "Throttle": "PrefetchLoop",
    "Unhurried": "NoExitWatchdog",
    "Unit": "UnitOfWork",
    "Vitals": "ProcessStats",
}
"""Holds the old name of a class -> the name or term that stands for it now."""

OLD_VARIABLES = {
    "arena": "cluster under test",
    "bill": "usage",
    "bills": "usage",
    "desk": "request consumer",
    "duties": "consumers",
    "duty": "consumer",
    "flight": "pending call",
    "hands": "in flight",
    "hearing": "evaluation call",
    "heart": "heartbeats",
    "judgement": "evaluation result",
    "keeper": "watchdog, or store",
    "panel": "evaluator runner",
    "pulse": "sweeper",
    "purse": "budget reservations",
    "rehearsal": "dry run",
    "shelf": "destination",
    "surroundings": "connector context",
    "vitals": "process stats",
}
"""Holds the old name of a module, function, variable or parameter -> the term that stands for it now."""

OLD_TEXTS = ("loom_messages_in_hand",)
"""Names of metrics and log events that were replaced."""

FIGURES = {
    "for ever": r"for ever\b",
    "at the desk": r"\bat the desk\b",
    "in hand": r"\bin hand\b",
    "hands": r"\b(?:in|into|out of|off) (?:(?:a|each|the|this) )?(?:\w+'s |his |its |their )?hands\b",
    "bill": r"\b(?:on|off) the (?:open )?bill\b",
    "bill's": r"\bbill's\b",
    "purse": r"\bpurse\b",
    "waiting room": r"\bwaiting rooms?\b",
    "ladder": r"\bladder\b",
    "last word": r"\blast word\b",
    "rung": r"\brungs?\b",
    "vitals": r"\bvitals\b",
    "every hand": r"\bevery hand\b",
    "word ": r"\bword (?:about|of a|of this)\b",
}
"""Holds figures of speech, as regular expressions, by a part that each of them contains in small letters."""

ALLOWED = frozenset({"pulse=goal is None", '"title": "In Hand"'})
"""Texts that Loom does not choose: a parameter of `rich`, and the title that pydantic makes of a message's field."""

TEXTS = ("docs", "deploy", "README.md", "CONTRIBUTING.md", "Makefile")
SPEECH = {part: re.compile(figure, re.IGNORECASE) for part, figure in FIGURES.items()}
NAMES = re.compile(rf"(?<!\w)_*(?:{'|'.join(OLD_CLASSES)}|(?i:{'|'.join(OLD_VARIABLES)})_*)(?!\w)")
"""Finds a file that may hold an old name, so that no other is split into tokens."""
ITSELF = Path(__file__).relative_to(ROOT)


def term_for(identifier: str) -> str | None:
    """Return the standard term for an identifier that is an old name; None for any other."""
    return OLD_CLASSES.get(identifier.lstrip("_")) or OLD_VARIABLES.get(identifier.strip("_").lower())


@lru_cache(maxsize=1)
def sources() -> tuple[Path, ...]:
    return tuple(ROOT / path for path in source_paths() if path != ITSELF)


@lru_cache(maxsize=1)
def texts() -> tuple[Path, ...]:
    folders = [ROOT / name for name in TEXTS]
    found = (path for each in folders for path in ([each] if each.is_file() else each.rglob("*")))
    return tuple(path for path in found if path.suffix in {".md", ".yaml", ".yml", ".json", ""} and path.is_file())


@lru_cache(maxsize=1)
def findings() -> tuple[str, ...]:
    """Return a sentence for a person about each old name and figure of speech."""
    found = []
    for path in sources():
        where = path.relative_to(ROOT)
        if (stem := term_for(path.stem)) is not None:
            found.append(f"{where}: `{path.stem}`; the term is: {stem}")
        text = own_text(path)
        if not (NAMES.search(text) or spoken(text)):
            continue
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            line = token.start[0]
            if token.type == tokenize.NAME and (term := term_for(token.string)) is not None:
                found.append(f"{where}:{line}: `{token.string}`; the term is: {term}")
            elif token.type in (tokenize.STRING, tokenize.COMMENT):
                found += [f"{where}:{line}: {words}" for words in spoken(token.string)]
    for path in texts():
        for number, line in enumerate(own_text(path).splitlines(), 1):
            found += [f"{path.relative_to(ROOT)}:{number}: {words}" for words in spoken(line)]
    return tuple(found)


def own_text(path: Path) -> str:
    """Return the text of a file without what is `ALLOWED`."""
    text = path.read_text("utf-8")
    for each in ALLOWED:
        text = text.replace(each, "")
    return text


def spoken(text: str) -> list[str]:
    small = text.lower()
    figures = [each[0] for part, figure in SPEECH.items() if part in small for each in figure.finditer(text)]
    return [f"`{each}`, a figure of speech" for each in figures] + [
        f"`{old}`, an old name" for old in OLD_TEXTS if old in text
    ]


def test_no_old_name_and_no_figure_of_speech_is_left_or_comes_back():
    assert not findings(), "\n".join(findings())


@pytest.mark.parametrize("written", ["Purse", "_Purse", "_purse", "PURSE"])
def test_an_old_name_is_found_however_it_is_written(written):
    assert term_for(written) is not None


def test_no_assert_compares_tuples_of_four_and_more_values():
    """Such an assert does not say which of the values differs."""
    found = [
        f"{path}:{node.lineno}"
        for path in source_paths()
        if path.is_relative_to("tests") and path != ITSELF
        for node in statements(ROOT / path)
        if isinstance(node, ast.Assert)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Tuple)
        and len(node.test.left.elts) >= 4
    ]
    assert not found, found
