"""Tests what `loom manifest` says of what was found before a run."""

from __future__ import annotations

import pytest

from loom.cli.commands.manifest import _found

READY = {"ok": True, "doubtful": False}
DOUBTFUL = {"ok": True, "doubtful": True}
SPARED = {"ok": False, "doubtful": True}
WRONG = {"ok": False, "doubtful": False}


@pytest.mark.parametrize(
    ("checks", "words"),
    [
        (None, "-"),
        ([READY, READY], "2 ready"),
        ([READY, DOUBTFUL, SPARED], "1 ready, 2 doubtful"),
        ([WRONG, READY, WRONG], "1 ready, 2 not ready"),
        ([WRONG], "1 not ready"),
    ],
)
def test_what_was_found_is_counted(checks, words):
    assert _found(None if checks is None else {"checks": checks}) == words
