"""Tests that tests run again when a file changes, and that mistakes in a file do not end the waiting."""

from loom.cli.commands.testing.watching import watched
from loom_common.errors import ConfigurationError


def test_each_change_of_a_file_runs_the_tests_again(tmp_path, capsys):
    file, runs, looks = tmp_path / "a.yaml", [], []

    def once():
        runs.append(file.exists())
        if len(runs) == 2:
            raise ConfigurationError("a.yaml:1: a mistake")
        return 1

    def sleep(_):
        looks.append(len(runs))
        if len(runs) == 3:
            raise KeyboardInterrupt
        if looks.count(len(runs)) == 2:  # it has looked once and found nothing new
            file.write_text("x" * len(runs))

    assert watched(once, lambda: [file], sleep) == 130
    assert runs == [False, True, True]
    assert "error: a.yaml:1: a mistake" in capsys.readouterr().err


def test_files_that_cannot_be_told_are_told_again_until_they_can(tmp_path):
    answers = iter([ConfigurationError("x"), ConfigurationError("x"), [tmp_path], [tmp_path], KeyboardInterrupt()])

    def files():
        answer = next(answers)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    runs = []
    assert watched(lambda: runs.append(1) or 0, files, lambda _: None) == 130
    assert len(runs) == 2
