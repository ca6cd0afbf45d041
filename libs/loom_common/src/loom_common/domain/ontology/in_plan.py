"""Reads the ontology that travels in a run's plan, among its files. What only a plan with an ontology needs is imported
with the first of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loom_common.domain.ontology.formulas import Domain
    from loom_common.domain.ontology.model import Ontology

PREFIX = "ontology:"
"""Begins the path of an ontology among the files of a plan: `ontology:retail`."""


def path_in(files: Mapping[str, str]) -> str | None:
    """Return the path of the ontology among files; None where there is none."""
    return next((path for path in files if path.startswith(PREFIX)), None)


def domain_in(files: Mapping[str, str], columns: Mapping[str, str] | None = None) -> Domain | None:
    """Return the ontology among files, ready to read records; None where there is none. `columns` names fields by
    their concepts."""
    path = path_in(files)
    if path is None:
        return None
    from loom_common.domain.ontology.formulas import Domain

    return Domain(_read(files[path]), columns)


def text_in(files: Mapping[str, str]) -> str | None:
    """Return what `{{ ontology }}` shows in a prompt; None where the plan has no ontology."""
    path = path_in(files)
    return None if path is None else _text(files[path])


@lru_cache(maxsize=16)
def _read(text: str) -> Ontology:
    from loom_common.domain.ontology.model import Ontology

    return Ontology.model_validate(json.loads(text))


@lru_cache(maxsize=16)
def _text(text: str) -> str:
    from loom_common.domain.ontology.prompt_text import prompt_text

    return prompt_text(_read(text))
