"""Finds what tells who a person is, by rules that no model can talk its way around."""

from __future__ import annotations

import re
from typing import Any

EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+")
NUMBER = re.compile(r"(?:\+?\d[\s/-]?){7,}|\b[A-Z]{2}\d{2}(?:\s?[\dA-Z]{4}){3,}")
"""Matches telephone numbers, numbers of cards, and account numbers (IBAN)."""
PLACEHOLDER = re.compile(r"\[[A-Z]+\]")


def no_email(output: dict[str, Any], record: dict[str, Any]) -> tuple[float, str]:
    """Score 1 where no e-mail address is left. The reason does not repeat the address."""
    found = len(EMAIL.findall(output["redacted"]))
    return (0.0, f"e-mail addresses left: {found}") if found else (1.0, "none is left")


def no_number(output: dict[str, Any], record: dict[str, Any]) -> tuple[float, str]:
    """Score 1 where no number of a telephone, a card or an account is left."""
    found = len(NUMBER.findall(output["redacted"]))
    return (0.0, f"numbers left: {found}") if found else (1.0, "none is left")


def nothing_added(output: dict[str, Any], record: dict[str, Any]) -> tuple[float, str]:
    """Score 1 where every word of the redacted message stands in the message: a model that rephrases is not wanted."""
    words = set(re.findall(r"\w+", record["message"].lower()))
    added = [each for each in re.findall(r"\w+", PLACEHOLDER.sub(" ", output["redacted"]).lower()) if each not in words]
    return (0.0, f"words added: {len(added)}") if added else (1.0, "nothing was added")
