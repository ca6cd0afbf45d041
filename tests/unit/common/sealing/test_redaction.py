"""Tests what is taken out of texts."""

from __future__ import annotations

import json
import traceback
from urllib.parse import quote

import pytest

from loom_common.config.settings import LogSettings
from loom_common.domain.sealing.redaction import Redactor, conceal, redacted_line, redacting
from loom_common.errors import RecordError
from loom_common.logs.logger import log
from loom_common.service.logging import configure_logging

EMAIL = "Ada.Lovelace@example.org"
LONG = 'He said: "the vault is below the mill", and left for München in the morning of the 4th.'


@pytest.mark.parametrize(
    ("values", "text", "shown"),
    [
        ([EMAIL], f"cannot send to {EMAIL}!", "cannot send to ***!"),
        ([EMAIL], f"found {EMAIL.upper()!r}", "found '***'"),
        ([EMAIL], f"cut: {EMAIL[:12]}...", "cut: ***..."),
        ([EMAIL], "Dear Lovelace, from example", "Dear ***, from ***"),
        ([EMAIL], "at 0.70 < 0.75 of the record", "at 0.70 < 0.75 of the record"),
        ([42], "42 is more than 0.42, and 142", "*** is more than 0.***, and 142"),
        (["x"], "an x in box", "an *** in box"),
        ([None, True, "", "  "], "None True", "None True"),
        ([LONG], f"answered {json.dumps(LONG)}", 'answered "***"'),
        ([LONG], "a big box", "a big box"),
        (["a@b"], "from a@b to c@d", "from *** to c@d"),
        (["Ünïcode Straße 17"], "in ünïcode straße 17", "in ***"),
    ],
)
def test_what_a_text_quotes_is_taken_out(values, text, shown):
    redactor = Redactor(values)
    assert redactor(text) == shown
    assert redactor(redactor(text)) == shown


@pytest.mark.parametrize("form", [repr, json.dumps, ascii, lambda text: quote(text, safe=""), str.lower, str.upper])
@pytest.mark.parametrize("value", [EMAIL, LONG])
def test_no_run_of_a_value_is_left_in_any_form(form, value):
    left = Redactor([value])(f"before {form(value)} after").lower()
    assert not [at for at in range(len(value) - 6) if value.lower()[at : at + 6] in left]
    assert left.startswith("before")
    assert left.endswith("after")


def failing(text: str) -> None:
    try:
        int(text)
    except ValueError as error:
        raise RecordError(f"no number: {text}", code="number") from error


def test_an_error_and_its_causes_quote_nothing():
    with pytest.raises(RecordError) as raised:
        failing(EMAIL)
    error = conceal(raised.value, Redactor([EMAIL]))
    assert error is raised.value
    shown = "".join(traceback.format_exception(error))
    assert "Lovelace" not in shown
    assert "no number: ***" in shown
    assert "invalid literal for int() with base 10: '***'" in shown


class Stubborn(Exception):
    def __init__(self, value: str) -> None:
        self.values = [value]

    def __str__(self) -> str:
        return f"stuck on {self.values[0]}"


def test_an_error_whose_text_cannot_be_changed_is_replaced():
    with pytest.raises(Stubborn) as raised:
        raise Stubborn(EMAIL)
    error = conceal(raised.value, Redactor([EMAIL]))
    assert (type(error).__name__, str(error)) == ("Stubborn", "stuck on ***")
    assert not isinstance(error, Stubborn)
    with pytest.raises(LookupError) as outer:
        raise LookupError("not found") from Stubborn(EMAIL)
    assert "Lovelace" not in "".join(traceback.format_exception(conceal(outer.value, Redactor([EMAIL]))))


def test_the_errors_of_a_group_quote_nothing():
    group = ExceptionGroup("several", [ValueError(EMAIL), KeyError(EMAIL)])
    assert "Lovelace" not in "".join(traceback.format_exception(conceal(group, Redactor([EMAIL]))))


def test_lines_of_logs_quote_nothing_of_the_records_at_work(capsys):
    configure_logging(LogSettings(level="info", format="json"))
    with redacting(Redactor([EMAIL])):
        log.info("asked", error=f"refused {EMAIL}", number=1)
        assert redacted_line(EMAIL) == "***"
    log.info("asked", error=f"refused {EMAIL}")
    inside, outside = map(json.loads, capsys.readouterr().err.splitlines())
    assert inside["error"] == "refused ***"
    assert EMAIL in outside["error"]
