"""Finds ontologies by name: in the folders `ontologies` of a project, among Loom's own, and in packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loom_common.domain.ontology.checking import ontology_mistakes
from loom_common.domain.ontology.extending import extended
from loom_common.domain.ontology.model import Ontology
from loom_common.domain.values.near import closest
from loom_common.errors import ConfigurationError, PluginUnusable
from loom_common.ontologies.files import BUNDLED, bundled_names, of_file, ontology_of
from loom_common.plugins.installed import offers
from loom_common.plugins.kinds import Kind
from loom_common.plugins.registry import find as find_plugin
from loom_common.plugins.registry import names

FOLDER = "ontologies"
"""The folder beside a pipeline, or at the top of its project, that holds ontologies of its own."""


@dataclass(frozen=True, slots=True)
class Found:
    """Holds an ontology as it is written, and says where."""

    ontology: Ontology
    place: str


def resolved(name: str, folders: Sequence[Path] = ()) -> Ontology:
    """Return an ontology with all that it extends. `folders` are those of the pipeline and of its project. Raises
    `ConfigurationError` where there is none of that name, or it has a mistake."""
    made = extended(written(name, folders).ontology, lambda each: written(each, folders).ontology)
    for each in ontology_mistakes(made):
        where = f"{each.section}.{each.name}.{each.key}"
        words = f"The ontology {name} has a mistake at {where}: found {each.found}; expected {each.expected}."
        raise ConfigurationError(words)
    return made


def written(name: str, folders: Sequence[Path] = ()) -> Found:
    """Return an ontology as it is written. Raises `ConfigurationError`."""
    for path in (folder / FOLDER / f"{name}{ending}" for folder in folders for ending in (".yaml", ".yml")):
        if _is_name(name) and path.is_file():
            return _named(name, Found(of_file(path), str(path)))
    if name in bundled_names():
        return Found(of_file(BUNDLED / f"{name}.yaml"), "loom")
    if (plugged := _of_package(name)) is not None:
        return _named(name, plugged)
    known = [each for each, _ in listed(folders)]
    near = closest(name, known)
    hint = f" Did you mean '{near}'?" if near else ""
    raise ConfigurationError(
        f"There is no ontology '{name}'.{hint} Known are {', '.join(known)}; one of your own is {FOLDER}/{name}.yaml "
        "beside the pipeline."
    )


def listed(folders: Sequence[Path] = ()) -> Iterator[tuple[str, str]]:
    """Yield the names of all ontologies that are found here, each once, with the place of each."""
    seen = set[str]()
    for name in bundled_names():
        own = next((file for file in _files(folders) if file.stem == name), None)
        seen.add(name)
        yield name, "loom" if own is None else str(own)
    for file in _files(folders):
        if file.stem not in seen:
            seen.add(file.stem)
            yield file.stem, str(file)
    for name in names(Kind.ONTOLOGY):
        if name not in seen:
            packages = offers(Kind.ONTOLOGY, name)
            yield name, f"{packages[0].package} {packages[0].version}" if packages else "(registered in this process)"


def _files(folders: Sequence[Path]) -> list[Path]:
    found = (file for folder in folders for file in sorted((folder / FOLDER).glob("*.y*ml")))
    return [file for file in found if file.suffix in (".yaml", ".yml")]


def _is_name(name: str) -> bool:
    """Tell whether a name is that of a file, and no path."""
    return name.replace("_", "").replace("-", "").isalnum()


def _named(name: str, found: Found) -> Found:
    if found.ontology.name != name:
        words = f"The ontology '{name}' ({found.place}) calls itself '{found.ontology.name}'. Give it one name."
        raise ConfigurationError(words)
    return found


def _of_package(name: str) -> Found | None:
    """Return the ontology that a package offers, or this process has registered: a mapping, or the path of a file."""
    try:
        offered = find_plugin(Kind.ONTOLOGY, name)
    except PluginUnusable as error:
        raise ConfigurationError(str(error)) from error
    if offered is None:
        return None
    place = next((f"{each.package} {each.version}" for each in offers(Kind.ONTOLOGY, name)), "this process")
    if isinstance(offered, Mapping):
        return Found(ontology_of(offered, f"{name} of {place}"), place)
    if isinstance(offered, str | Path):
        return Found(of_file(Path(offered)), place)
    raise ConfigurationError(
        f"The ontology '{name}' of {place} is {type(offered).__name__}, and must be a mapping, or the path of a YAML "
        "file."
    )
