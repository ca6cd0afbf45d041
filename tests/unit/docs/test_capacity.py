"""The arithmetic of a large cluster in docs/performance.md follows from the unit costs in the table above it."""

import re

import pytest

from support.documents import ROOT

PAGE = (ROOT / "docs/performance.md").read_text()
PART = PAGE.partition("## To 1,000 transformers and a billion records")[2].partition("\n## ")[0]
ROWS = {
    cells[0]: cells[1:]
    for line in PART.splitlines()
    if line.startswith("| ")
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}


def numbers(text):
    return [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def unit(beginning):
    """Return the numbers of the unit whose row begins so."""
    [cost] = [cells[0] for name, cells in ROWS.items() if name.startswith(beginning)]
    return numbers(cost)


BATCHES, RECORDS = 64_000 / 100, 1e9
[BATCH_KB], [FACT_KB] = unit("a batch of 100 records"), unit("a fact")
[BROKER_MS] = unit("a message's way")
_, THREE_FACTS_DATABASE_MS = unit("a batch's three facts")
[FIRST_MS], [FURTHER_MS] = unit("one fact to a batch"), unit("each further fact")
SCORES_MS, SCORES_DATABASE_MS = unit("one evaluator's 100 scores")
LOG_KB = unit("run state written to the log")[1]
BATCH_BYTES, LEDGER_BYTES, SCORE_BYTES = unit("run state that stays")
MESSAGES, JUDGED_MESSAGES = 2 + 2 + 0.1, 3 + 3 + 0.1
BATCH_MS = FIRST_MS + FURTHER_MS
JUDGED_MS = BATCH_MS + FURTHER_MS + SCORES_MS
NETWORK_MB = BATCHES * 3 * (BATCH_KB + FACT_KB) / 1_000
SECONDS = RECORDS / 64_000


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("messages", [BATCHES * MESSAGES, BATCHES * JUDGED_MESSAGES]),
        ("broker, CPU", [BATCHES * MESSAGES * BROKER_MS / 1_000, BATCHES * JUDGED_MESSAGES * BROKER_MS / 1_000]),
        ("broker, network in, with one evaluator", [NETWORK_MB]),
        ("broker, disk", [NETWORK_MB, NETWORK_MB * SECONDS / 1e6]),
        ("broker, what lies there", [128 * BATCH_KB / 1_000]),
        ("coordinator, CPU", [BATCHES * BATCH_MS / 1_000, BATCHES * JUDGED_MS / 1_000]),
        (
            "run state, CPU",
            [
                BATCHES * THREE_FACTS_DATABASE_MS / 1_000,
                BATCHES * (THREE_FACTS_DATABASE_MS + SCORES_DATABASE_MS) / 1_000,
            ],
        ),
        ("run state, log", [BATCHES * LOG_KB / 1_000]),
        ("run state, rows", [RECORDS / 100 * BATCH_BYTES / 1e9, RECORDS * SCORE_BYTES / 1e9]),
        ("ledger in the destination", [RECORDS / 100 * LEDGER_BYTES / 1e9]),
    ],
)
def test_what_it_comes_to_follows_from_the_units(row, expected):
    printed = re.findall(r"\d[\d,]*(?:\.\d+)?", ROWS[row][1])
    assert printed == [as_printed(value, text) for value, text in zip(expected, printed, strict=True)]


def test_the_units_stand_in_the_arithmetic():
    for row, units in {
        "broker, CPU": [BROKER_MS],
        "broker, network in, with one evaluator": [BATCH_KB, FACT_KB],
        "coordinator, CPU": [FIRST_MS, FURTHER_MS, SCORES_MS],
        "run state, CPU": [THREE_FACTS_DATABASE_MS, SCORES_DATABASE_MS],
        "run state, log": [LOG_KB],
    }.items():
        assert set(units) <= set(numbers(ROWS[row][0])), row


def test_what_breaks_first_follows_from_the_units():
    words = " ".join(PART.split())
    full = re.search(
        r"full at about ([\d,]+) batches a second \(1 / ([\d.]+) ms\).* or at (\d+).*?\(1 / ([\d.]+) ms\)", words
    )
    assert full is not None
    assert list(full.groups()) == [
        as_printed(1_000 / BATCH_MS, "1,600"),
        f"{BATCH_MS:.2f}",
        as_printed(1_000 / JUDGED_MS, "410"),
        f"{JUDGED_MS:.2f}",
    ]
    queue = re.search(r"with ([\d.]+) ms a message,.*?at least ([\d,]+) messages a second; (\d+) are needed", words)
    assert queue is not None
    assert list(queue.groups()) == [f"{BROKER_MS:.2f}", as_printed(1_000 / BROKER_MS, "3,300"), f"{BATCHES:.0f}"]


def as_printed(value, like):
    """Return a number with as many places as another one, and zeros at its end where that one has them."""
    _, _, places = like.partition(".")
    if places:
        return f"{value:,.{len(places)}f}"
    zeros = len(like) - len(like.rstrip("0"))
    return f"{round(value, -zeros):,.0f}"
