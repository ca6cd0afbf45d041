"""Tests a simulated model that lives as long as a command."""

import pytest

from loom.cli.app import main


def ended(*arguments):
    with pytest.raises(SystemExit) as exited:
        main(("simulate-model", "--port", "0", *arguments))
    return exited.value.code


def test_a_command_finds_the_model_in_its_environment_and_gives_its_exit_code(capfd):
    asks = "import os, sys, urllib.request as r; u = os.environ['SIMULATED_BASE_URL']; "
    asks += "print(r.urlopen(u.removesuffix('/v1') + '/stats').status); sys.exit(3)"
    assert ended("--", "python3", "-c", asks) == 3
    out, err = capfd.readouterr()
    assert out == "200\n", f"its own address would stand in the way of what the command prints: {err}"


def test_a_command_that_a_signal_ended_has_the_exit_code_of_a_shell():
    assert ended("--", "sh", "-c", "kill -KILL $$") == 137


def test_a_command_that_is_not_there_is_told(capsys):
    assert ended("--", "no-such-program") == 2
    assert capsys.readouterr().err == "error: Cannot run 'no-such-program': no such file or directory.\n"
