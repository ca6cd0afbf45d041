"""Says which team takes a ticket and by when, and whether a refund is plausible."""

from __future__ import annotations

from typing import Any

TEAMS = {"billing": "accounts", "bug": "web", "question": "shop"}
HOURS = {3: 4, 2: 24, 1: 72}
LARGEST_REFUND = 500.0
"""A person looks at larger ones, in euros."""


def assign(record: dict[str, Any]) -> dict[str, Any]:
    """Return the team of a ticket, and the hours within which it answers."""
    return {"team": TEAMS[record["category"]], "due_hours": HOURS[record["urgency"]]}


def plausible(output: dict[str, Any], record: dict[str, Any]) -> tuple[float, str]:
    """Score a refund: its amount must stand in the ticket, and be no larger than a person may give by themselves."""
    amount = output.get("amount")
    if not amount:
        return 1.0, "nothing is to be refunded"
    if amount > LARGEST_REFUND:
        return 0.0, f"{amount:.2f} is more than {LARGEST_REFUND:.2f}"
    written = {f"{amount:.2f}", f"{amount:g}"}
    stands_there = any(each in record["text"].replace(",", ".") for each in written)
    return (1.0, "the ticket names it") if stands_there else (0.0, f"the ticket does not name {amount:g}")
