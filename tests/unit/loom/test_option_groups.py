"""Tests commands whose options stand in groups."""

from dataclasses import dataclass

from loom.cli.options.groups import grouped


@dataclass(frozen=True)
class Places:
    config: str | None = None
    target: str | None = "dev"


def test_a_command_that_code_calls_has_the_defaults_of_what_is_left_out():
    @grouped
    def command(name: str, *, places: Places) -> tuple[str, Places]:
        return name, places

    assert command(name="a", config="c") == ("a", Places("c", "dev"))
    assert command(name="a", target="prod") == ("a", Places(None, "prod"))
