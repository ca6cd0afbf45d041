"""Defines the `targets` of `loom.yaml`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import Field

from loom_common.domain.section import Mistake, Section, mistake, said
from loom_common.domain.values.near import closest
from loom_common.domain.values.urls import clear_text_password
from loom_common.errors import ConfigurationError

SECTIONS = ("extract", "transform", "evaluate", "load", "monitoring", "timeouts", "providers", "prices")
"""The sections of a pipeline file of which a target may say keys."""
_NAME = re.compile(r"^[a-z][a-z0-9_-]{0,39}$")
_SECTION = "Keys of this section of the pipeline file, in the place of the pipeline's own; `null` takes one away."


class Overrides(Section):
    """Says what differs in a pipeline from what its file says."""

    extract: dict[str, Any] | None = Field(None, description=f"{_SECTION} For instance `source`.")
    transform: dict[str, Any] | None = Field(None, description=_SECTION)
    evaluate: dict[str, Any] | None = Field(None, description=_SECTION)
    load: dict[str, Any] | None = Field(
        None,
        description=f"{_SECTION} For instance `destination`, in which `{{pipeline}}` and `{{target}}` stand for names.",
    )
    monitoring: dict[str, Any] | None = Field(None, description=f"{_SECTION} For instance `cost_budget`.")
    timeouts: dict[str, Any] | None = Field(None, description=_SECTION)
    providers: dict[str, Any] | None = Field(None, description=_SECTION)
    prices: dict[str, Any] | None = Field(None, description=_SECTION)
    models: dict[str, str] = Field(
        default_factory=dict,
        description="Models in the place of those that the pipeline names, wherever it names them: "
        "`{gpt-4o: gpt-4o-mini}`. `*` is every other one.",
    )
    params: dict[str, Any] = Field(
        default_factory=dict, description="Values of parameters, for runs that give none. A pipeline declares them."
    )

    @classmethod
    def mistakes(cls, written: Mapping[str, Any]) -> Iterable[Mistake]:
        """Refuse passwords in clear, wherever they stand."""
        for at, text in _texts({name: written.get(name) for name in (*SECTIONS, "params")}, ()):
            if clear_text_password(text):
                expected = "a credential reference instead of a password in clear: ${NAME}, resolved where it is needed"
                yield mistake(at, "clear_text_password", expected, text)


class Target(Overrides):
    """Says what differs in the pipelines of the project when they run for this target."""

    pipelines: dict[str, Overrides] = Field(
        default_factory=dict, description="The same for single pipelines, by name. What is said here comes first."
    )


def target_mistakes(written: Mapping[str, Any]) -> Iterator[Mistake]:
    """Yield what is wrong with the names of targets in `loom.yaml`."""
    targets, default = said(written, "targets"), said(written, "default_target")
    known = [str(name) for name in targets] if isinstance(targets, Mapping) else []
    for name in known:
        if not _NAME.match(name):
            expected = "a name of at most 40 lower case letters, digits, `_` and `-`, first a letter"
            yield mistake(("targets", name), "target_name", expected, name)
    if isinstance(default, str) and default not in known:
        near = closest(default, known)
        hint = f" (did you mean '{near}'?)" if near else ""
        expected = f"one of `targets`: {', '.join(known)}{hint}" if known else "no default without `targets`"
        yield mistake(("default_target",), "unknown_target", expected, default)


def no_target(name: str, said_by: str, known: Iterable[str], file: str) -> ConfigurationError:
    """Return the error for a target that is not in `loom.yaml`, which `file` is."""
    if not (names := list(known)):
        return ConfigurationError(
            f"{said_by} names the target '{name}', and {file} has no targets. Write them there: "
            "`targets: {dev: {load: {destination: results/dev.csv}}}`."
        )
    near = closest(name, names)
    hint = f" Did you mean '{near}'?" if near else ""
    return ConfigurationError(
        f"{said_by} names the target '{name}', which {file} does not have.{hint} Known: {', '.join(names)}."
    )


def _texts(value: Any, at: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield every text below a value, with its place."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*at, str(key)))
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            yield from _texts(inner, (*at, position))
