"""Compares the packages that a pipeline says it needs, such as `loom-politeness>=1.0`, against what is installed
here."""

from __future__ import annotations


def lacking(requirement: str) -> str | None:
    """Say what was expected of `requirement`, with the remedy, where it is not met here; return None where it is."""
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = Requirement(requirement)
    except InvalidRequirement:
        return "the name of a package, with versions if need be: `loom-politeness>=1.0`"
    if wanted.url is not None:
        return "the name of a package, without an address"
    try:
        installed = version(wanted.name)
    except PackageNotFoundError:
        return f"a package that is installed here: pip install '{requirement}'"
    if wanted.specifier.contains(installed, prereleases=True):
        return None
    return f"another version of {wanted.name} than {installed}, which is installed here: pip install '{requirement}'"
