"""Tests what logs show of an error, and what they keep to themselves."""

import io
import json

import structlog

from loom_common.config.settings import LogSettings
from loom_common.service.logging import configure_logging


def fall_over(record):
    raise ValueError("it broke")


def log_a_failure():
    diagnosis = "".join(("sec", "ret"))  # a value that no line of source shows
    try:
        fall_over({"diagnosis": diagnosis})
    except ValueError:
        structlog.get_logger().warning("attempt failed", exc_info=True)


def test_a_traceback_for_programs_has_places_but_no_records(capsys):
    configure_logging(LogSettings(format="json"), service="loader")
    log_a_failure()
    line = capsys.readouterr().err
    event = json.loads(line)
    assert (event["event"], event["service"]) == ("attempt failed", "loader")
    assert event["exception"][0]["frames"][-1]["name"] == "fall_over"
    assert "secret" not in line


def test_a_traceback_for_people_has_no_records(capsys):
    configure_logging(LogSettings(format="console", level="info"))
    log_a_failure()
    line = capsys.readouterr().err
    assert "ValueError: it broke" in line
    assert "secret" not in line


def test_people_see_no_traceback_unless_they_ask_for_more(capsys):
    configure_logging(LogSettings(format="console", level="warning"))
    log_a_failure()
    shown = capsys.readouterr().err
    assert "attempt failed" in shown
    assert "Traceback" not in shown


def test_lines_go_where_stderr_is_now(capsys, monkeypatch):
    configure_logging(LogSettings(format="json"))
    monkeypatch.setattr("sys.stderr", other := io.StringIO())
    structlog.get_logger().warning("here")
    assert "here" in other.getvalue()
