"""Runs `loom` for tests of its command line that need no run of a pipeline."""

import pytest

from loom.cli.app import main


@pytest.fixture
def loom(tmp_path, monkeypatch, capsys):
    """Runs `loom ...` in an empty folder; gives (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOOM_BUS_URL", raising=False)
    monkeypatch.delenv("LOOM_STATE_URL", raising=False)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return run
