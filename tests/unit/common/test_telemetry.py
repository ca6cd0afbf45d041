"""Tests what logs show of an error, and what they keep to themselves."""

import io
import json
import subprocess
import sys

from loom_common.config.settings import LogSettings
from loom_common.logs.logger import log
from loom_common.service.logging import configure_logging


def fall_over(record):
    raise ValueError("it broke")


def log_a_failure():
    diagnosis = "".join(("sec", "ret"))  # a value that no line of source shows
    try:
        fall_over({"diagnosis": diagnosis})
    except ValueError:
        log.warning("attempt failed", exc_info=True)


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
    log.warning("here")
    assert "here" in other.getvalue()


LOGGING_LIBRARIES = """
import asyncio, logging
from loom_common.config.settings import LogSettings
from loom_common.service.logging import configure_logging

configure_logging(LogSettings(format="json"), service="loader")
logging.getLogger("aiormq.connection").error("error when creating transport: %r", OSError("nobody listens"))
logging.getLogger("chatty").warning("this is below the level of libraries")
try:
    raise ValueError("it broke")
except ValueError:
    logging.getLogger("some.library").exception("a half of a pair: \\ud83d")


async def forgets_a_failure():
    await asyncio.wait([asyncio.create_task(asyncio.to_thread(int, "x"))])


asyncio.run(forgets_a_failure())
"""


def test_what_libraries_log_goes_through_the_same_handler():
    """A collector of logs reads every line of a process as JSON, also those of aiormq and of asyncio."""
    ended = subprocess.run([sys.executable, "-c", LOGGING_LIBRARIES], capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [(event["logger"], event["level"], event["service"]) for event in events] == [
        ("aiormq.connection", "error", "loader"),
        ("some.library", "error", "loader"),
        ("asyncio", "error", "loader"),
    ]
    assert events[0]["event"] == "error when creating transport: OSError('nobody listens')"
    assert events[1]["exception"][0]["exc_value"] == "it broke"
    assert all("timestamp" in event for event in events)
