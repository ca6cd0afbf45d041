"""Finds templates by their names: those whose files lie here, and one for each pair of a source and a destination."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loom.templates import template
from loom.templates.pairs import Pair, pair_named, pairs
from loom_common import extras
from loom_common.domain.json_values.shown import Shown
from loom_common.errors import ConfigurationError

WRITTEN: Mapping[str, str] = {
    "basic": "A Python function over a CSV file",
    "prompt": "A language model over a CSV file, with a prompt and a budget",
    "rag": "Answers from a body of knowledge, without a key",
    "sentiment": "The mood of reviews, by a local model",
}
"""Holds what the templates are for whose files lie here."""
NEEDS: Mapping[str, Sequence[str]] = {
    "prompt": ("export OPENAI_API_KEY=...   # or name a model of another provider in pipeline.yaml",)
}
"""Holds what some of these need."""


@dataclass(frozen=True, slots=True)
class Template(Shown):
    """Describes a template as `loom templates list` and `loom templates info` show it."""

    name: str
    description: str
    needs: Sequence[str] = ()
    """What is to be done before its pipeline runs: variables to set, extras to install, data to put there."""

    @property
    def variables(self) -> Sequence[str]:
        """Return the variables that its pipeline names, in which secrets and addresses stand."""
        pair = pair_named(self.name)
        return () if pair is None else pair.variables

    def files(self, pipeline: str) -> dict[str, str]:
        """Return the text files of the template by path, for a pipeline of that name."""
        pair = pair_named(self.name)
        return dict(template(self.name, pipeline)) if pair is None else {"pipeline.yaml": pair.pipeline(pipeline)}

    def write_sample(self, folder: Path) -> None:
        """Write the data that it begins with and that are no text."""
        if (pair := pair_named(self.name)) is not None:
            pair.write_sample(folder)


def templates() -> list[Template]:
    """Return every template, those whose files lie here first."""
    written = [template_named(name) for name in WRITTEN]
    return [*written, *map(_of, pairs())]


def template_named(name: str) -> Template:
    """Return the template of that name. Raises `ConfigurationError`, with the nearest name where there is none."""
    if name in WRITTEN:
        return Template(name, WRITTEN[name], NEEDS.get(name, ()))
    if (pair := pair_named(name)) is not None:
        return _of(pair)
    near = difflib.get_close_matches(name, [each.name for each in templates()], n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise ConfigurationError(f"There is no template '{name}'.{hint} `loom templates list` shows all.")


def _of(pair: Pair) -> Template:
    needs = [extras.command(*pair.extras)] if pair.extras else []
    needs += [f"export {variable}=..." for variable in pair.variables]
    if not pair.source.has_sample:
        needs.append("put your own records in place of the source that pipeline.yaml names")
    if pair.destination.example is not None:
        needs.append(f"put your own address in place of {pair.destination.example} in `load.destination`")
    return Template(pair.name, pair.description, needs)
