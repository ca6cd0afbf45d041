"""The code and its documents use the standard terms of RabbitMQ, dataflow engines and SQL, and no figures of speech.

`OLD_CLASSES` and `OLD_VARIABLES` map the names that were replaced to the terms that stand for them now. Neither these
names nor `FIGURES` may come back. The packages in `NOT_YET` still have some of them; whoever removes the last one from
a package removes the package from the list, because a test fails where it is named without need."""

import ast
import io
import re
import tokenize
from functools import lru_cache
from pathlib import Path

import pytest

from support.documents import ROOT

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
"""The old name of a class -> the name or term that stands for it now."""

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
"""The old name of a module, function, variable or parameter -> the term that stands for it now."""

OLD_TEXTS = ("loom_messages_in_hand",)
"""Names of metrics and log events that were replaced."""

FIGURES = (
    r"for ever\b",
    r"\bat the desk\b",
    r"\bin hand\b",
    r"\b(?:in|into|out of|off) (?:\w+'s |his |its |their )?hands\b",
    r"\b(?:on|off) the (?:open )?bill\b",
    r"\bbill's\b",
    r"\bpurse\b",
    r"\bwaiting rooms?\b",
    r"\bladder\b",
    r"\blast word\b",
    r"\bword (?:about|of a|of this)\b",
)
"""Figures of speech, as regular expressions."""

NOT_YET: frozenset[str] = frozenset(
    {
        "docs",
        "loom",
        "loom.cli",
        "loom_common.resilience",
        "loom_common.user_code",
        "loom_common.worker",
        "loom_coordinator.accounting",
        "loom_coordinator.admin",
        "loom_coordinator.flow_control",
        "loom_coordinator.intake",
        "loom_coordinator.lifecycle",
        "loom_coordinator.queries",
        "loom_coordinator.sweeping",
        "tests/conformance/test_worker_subscriptions.py",
        "tests/unit/common/test_health.py",
        "tests/unit/common/test_in_flight.py",
        "tests/unit/common/test_subscriptions.py",
        "tests/unit/coordinator/test_prefetch.py",
    }
)
"""The packages and folders that still use an old name or a figure of speech."""

SOURCES = ("libs/*/src", "services/*/src", "migrations/src", "dev/src", "tests", "bench", "examples")
TEXTS = ("docs", "deploy", "README.md", "CONTRIBUTING.md", "Makefile")
SPEECH = re.compile("|".join(FIGURES), re.IGNORECASE)
NAMES = re.compile("|".join((*OLD_CLASSES, *OLD_VARIABLES)), re.IGNORECASE)
ITSELF = Path(__file__).relative_to(ROOT)


def term_for(identifier: str) -> str | None:
    """Return the standard term for an identifier that is an old name; None for any other."""
    return OLD_CLASSES.get(identifier.lstrip("_")) or OLD_VARIABLES.get(identifier.strip("_").lower())


@lru_cache(maxsize=1)
def sources() -> tuple[Path, ...]:
    found = (path for pattern in SOURCES for folder in ROOT.glob(pattern) for path in folder.rglob("*.py"))
    return tuple(path for path in found if "__pycache__" not in path.parts and path != ROOT / ITSELF)


@lru_cache(maxsize=1)
def texts() -> tuple[Path, ...]:
    folders = [ROOT / name for name in TEXTS]
    found = (path for each in folders for path in ([each] if each.is_file() else each.rglob("*")))
    return tuple(path for path in found if path.suffix in {".md", ".yaml", ".yml", ".json", ""} and path.is_file())


def package_of(path: Path) -> str:
    """Return `loom_common.worker` for a module of that package, the path of a test, and `docs` for a document."""
    parts = path.relative_to(ROOT).parts
    if "src" in parts:
        return ".".join(parts[parts.index("src") + 1 : -1][:2])
    return path.relative_to(ROOT).as_posix() if parts[0] == "tests" else parts[0]


@lru_cache(maxsize=1)
def findings() -> tuple[tuple[str, str], ...]:
    """Return each finding as the package and a sentence for a person."""
    found = []
    for path in sources():
        where, package = path.relative_to(ROOT), package_of(path)
        if (stem := term_for(path.stem)) is not None:
            found.append((package, f"{where}: `{path.stem}`; the term is: {stem}"))
        text = path.read_text("utf-8")
        if not (NAMES.search(text) or spoken(text)):
            continue
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            line = token.start[0]
            if token.type == tokenize.NAME and (term := term_for(token.string)) is not None:
                found.append((package, f"{where}:{line}: `{token.string}`; the term is: {term}"))
            elif token.type in (tokenize.STRING, tokenize.COMMENT):
                found += [(package, f"{where}:{line}: {words}") for words in spoken(token.string)]
    for path in texts():
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            found += [(package_of(path), f"{path.relative_to(ROOT)}:{number}: {words}") for words in spoken(line)]
    return tuple(found)


def spoken(text: str) -> list[str]:
    return [f"`{each[0]}`, a figure of speech" for each in SPEECH.finditer(text)] + [
        f"`{old}`, an old name" for old in OLD_TEXTS if old in text
    ]


def test_no_old_name_and_no_figure_of_speech_is_left_or_comes_back():
    left = [words for package, words in findings() if package not in NOT_YET]

    assert not left, "\n".join(left)


def test_only_packages_that_still_need_it_are_excepted():
    assert {package for package, _ in findings()} >= NOT_YET


@pytest.mark.parametrize("written", ["Purse", "_Purse", "_purse", "PURSE"])
def test_an_old_name_is_found_however_it_is_written(written):
    assert term_for(written) is not None


def test_no_assert_compares_tuples_of_four_and_more_values():
    """Such an assert does not say which of the values differs."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources()
        if path.is_relative_to(ROOT / "tests")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Assert)
        and isinstance(node.test, ast.Compare)
        and isinstance(node.test.left, ast.Tuple)
        and len(node.test.left.elts) >= 4
    ]
    assert not found, found
