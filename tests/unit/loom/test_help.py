"""Tests what the help of both programs says to somebody who sees them for the first time."""

import pytest
import typer

from loom.cli.app import main
from loom.cli.root_command import command
from loom_common.console.command_help import first_sentence, with_whole_sentences
from loom_coordinator.admin.app import command as coordinator_command

PROGRAMS = {"loom": command(("--help",)), "loom-coordinator": coordinator_command()}


def groups(name, program):
    yield name, program
    for each, inner in program.commands.items():
        if getattr(inner, "commands", None):
            yield f"{name} {each}", inner


GROUPS = dict(pair for name, program in PROGRAMS.items() for pair in groups(name, program))


def help_of(group, width):
    context = group.make_context("loom", ["status"], resilient_parsing=True)
    context.terminal_width = width
    context.max_content_width = width
    return group.get_help(context)


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("name", GROUPS)
def test_no_sentence_of_a_list_of_commands_is_cut(name, width):
    shown = help_of(GROUPS[name], width)
    listed = shown.partition("Commands:")[2]
    assert listed
    assert "..." not in listed
    assert max(map(len, shown.splitlines())) <= width


@pytest.mark.parametrize("name", GROUPS)
def test_every_command_of_a_list_is_told_in_a_sentence(name):
    for each in GROUPS[name].commands.values():
        assert each.short_help.endswith("."), each.name
        assert each.short_help[0].isupper(), each.name


def arguments_of(program, path):
    for name, inner in program.commands.items():
        if getattr(inner, "commands", None):
            yield from arguments_of(inner, f"{path} {name}")
        else:
            yield from ((f"{path} {name}", param) for param in inner.params if param.param_type_name == "argument")


@pytest.mark.parametrize(
    ("where", "argument"),
    [pair for name, program in PROGRAMS.items() for pair in arguments_of(program, name)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_an_argument_is_in_brackets_where_it_may_be_left_out(where, argument):
    shown = argument.make_metavar(None) if argument.metavar is None else argument.metavar
    assert shown == shown.upper(), where
    assert shown.startswith("[") is not argument.required, where


def test_the_first_sentence_is_taken_whole():
    assert (
        first_sentence("List runs:\n  a pipeline's, or all. More.\n\nAnd more.") == "List runs: a pipeline's, or all."
    )
    assert first_sentence("A title without a full stop\n\nText.") == "A title without a full stop"


def test_a_short_help_that_is_written_stays():
    app = typer.Typer()
    app.command("one", short_help="Own words.")(lambda: None)
    app.command("two")(lambda: None)
    assert with_whole_sentences(typer.main.get_command(app)).commands["one"].short_help == "Own words."


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "p.yaml", "--sample", "x"), "Invalid value for '--sample': expected a whole number"),
        (("run", "p.yaml", "--sample", "0"), "Invalid value for '--sample': expected at least 1"),
        (("serve", "--port", "99999"), "Invalid value for '--port': expected at most 65535"),
        (("run", "p.yaml", "--format", "yaml"), "Invalid value for '--format': 'yaml' is not one of 'table', 'json'"),
    ],
)
def test_a_value_of_an_option_that_cannot_be_is_told_in_plain_words(capsys, arguments, expected):
    with pytest.raises(SystemExit) as exited:
        main(arguments)
    assert exited.value.code == 2
    assert expected in " ".join(capsys.readouterr().err.split())
