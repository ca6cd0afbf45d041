"""Shows how the code is cut into packages: modules side by side, imports between packages, and circles among them.

`python -m loom_dev.structure` prints the whole; `--check` fails where a package has too many modules side by side, or
where packages import each other in a circle."""

from __future__ import annotations

import argparse
import graphlib
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from pathlib import Path

import grimp

MOST_MODULES = 13
"""How many modules may stand side by side in one package before it has to be divided."""


def main() -> None:
    """Print the structure of the checkout that this runs in. Exit code 1 where `--check` finds something."""
    parser = argparse.ArgumentParser(prog="python -m loom_dev.structure", description=__doc__)
    parser.add_argument("--check", action="store_true", help="print only what is wrong, and fail where something is")
    parser.add_argument("--contracts", type=Path, default=Path(".importlinter"), help="where the packages are named")
    arguments = parser.parse_args()
    roots = _root_packages(arguments.contracts)
    graph = grimp.build_graph(*roots, cache_dir=None)
    counts = modules_side_by_side(graph)
    arrows = imports_between_packages(graph)
    wrong = [
        f"{name} has {count} modules side by side; at most {MOST_MODULES} are allowed."
        for name, count in sorted(counts.items())
        if count > MOST_MODULES
    ]
    if (circle := circle_among(arrows)) is not None:
        wrong.append(f"These packages import each other in a circle: {' -> '.join(circle)}.")
    if not arguments.check:
        _print(counts, arrows)
    for line in wrong:
        print(line, file=sys.stderr)
    sys.exit(1 if arguments.check and wrong else 0)


def modules_side_by_side(graph: grimp.ImportGraph) -> Counter[str]:
    """Count the modules that lie directly in each package. Packages inside it do not count."""
    packages = _packages(graph)
    return Counter(_package_of(name, packages) for name in graph.modules if name not in packages)


def imports_between_packages(graph: grimp.ImportGraph) -> dict[str, Counter[str]]:
    """Count for each package how many imports of its modules lead to each other package. A module that lies directly in
    a top-level package stands for itself."""
    packages = _packages(graph)
    arrows: dict[str, Counter[str]] = {_place_of(module, packages): Counter() for module in graph.modules}
    for importer in graph.modules:
        source = _place_of(importer, packages)
        for imported in graph.find_modules_directly_imported_by(importer):
            if (target := _place_of(imported, packages)) != source:
                arrows[source][target] += 1
    return arrows


def circle_among(arrows: Mapping[str, Mapping[str, int]]) -> list[str] | None:
    """Find one circle of packages that import each other; return None where there is none."""
    try:
        graphlib.TopologicalSorter(arrows).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return None


def _packages(graph: grimp.ImportGraph) -> frozenset[str]:
    return frozenset(name for name in graph.modules if graph.find_children(name))


def _package_of(module: str, packages: frozenset[str]) -> str:
    """Return the package that a module lies in. A package lies in itself: its `__init__` belongs to what is inside."""
    return module if module in packages else module.rpartition(".")[0] or module


def _place_of(module: str, packages: frozenset[str]) -> str:
    """Tell where a module stands in the drawing: its package, or itself where it lies directly in a top-level package.
    There lie ports, which everything imports, beside compositions, which import everything."""
    package = _package_of(module, packages)
    return package if "." in package else module


def _print(counts: Mapping[str, int], arrows: Mapping[str, Mapping[str, int]]) -> None:
    for line in _lines(counts, arrows):
        print(line)


def _lines(counts: Mapping[str, int], arrows: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    yield f"{'modules':>7}  package, and the packages that it imports (with the number of imports)"
    for package in sorted(arrows):
        targets = ", ".join(f"{target} ({count})" for target, count in sorted(arrows[package].items()))
        yield f"{counts.get(package, 0):>7}  {package}" + (f" -> {targets}" if targets else "")
    total = sum(len(targets) for targets in arrows.values())
    most = max(counts.values(), default=0)
    yield f"{len(counts)} packages, {sum(counts.values())} modules, at most {most} side by side, {total} arrows."


def _root_packages(contracts: Path) -> list[str]:
    parser = ConfigParser()
    parser.read(contracts)
    return parser["importlinter"]["root_packages"].split()


if __name__ == "__main__":
    main()
