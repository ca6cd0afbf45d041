"""Checks that what a model quotes from a contract stands in it. No model is asked for that."""

from __future__ import annotations

from typing import Any


def stand_there(output: dict[str, Any], record: dict[str, Any]) -> tuple[float, str]:
    """Score the share of the quotations that are in the contract, whatever its line breaks and spaces."""
    text = _plain(record["text"])
    absent = [name for name, quote in output["quotes"].items() if not quote.strip() or _plain(quote) not in text]
    score = 1 - len(absent) / len(output["quotes"])
    return score, f"not in the contract: {', '.join(absent)}" if absent else "all quotations are in the contract"


def fee_is_quoted(output: dict[str, Any], record: dict[str, Any]) -> tuple[float, str]:
    """Score whether the fee stands in the quotation that it was read from."""
    digits = "".join(each for each in output["quotes"]["monthly_fee"] if each.isdigit())
    fee = output["monthly_fee"]
    if f"{fee:.2f}".replace(".", "") in digits or f"{fee:.0f}" in digits:
        return 1.0, "the quotation names it"
    return 0.0, f"{fee:g} is not in {output['quotes']['monthly_fee']!r}"


def _plain(text: str) -> str:
    """Return a text as one line in small letters, with words put together that were hyphenated at the end of a line."""
    return " ".join(text.replace("-\n", "").split()).casefold()
