"""Makes plugin packages as an installer leaves them, for one test: modules on the path, and their metadata."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loom_common.domain.definition.reader import parse
from loom_common.errors import InvalidDefinition
from loom_common.plugins.installed import offered
from loom_dev.waiting import patience

EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"


class PluginPackages:
    """Represents a folder on the path of this process, from which the packages in it are found."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        folder.mkdir()
        monkeypatch.syspath_prepend(str(folder))
        offered.cache_clear()

    def install(
        self, name: str, entry_points: Mapping[str, str], code: str = "", *, version: str = "1.0", module: str = ""
    ) -> None:
        """Install a package with one module. `entry_points` maps `group/name` to `module:object`."""
        metadata = self._folder / f"{name.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"[{each.split('/')[0]}]\n{each.split('/')[1]} = {value}\n" for each, value in entry_points.items()]
        (metadata / "entry_points.txt").write_text("\n".join(lines))
        (self._folder / f"{module or name.replace('-', '_')}.py").write_text(code)
        offered.cache_clear()


@contextmanager
def plugin_packages(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginPackages]:
    """Find packages in the folder within the block. Their modules are called `loom_test_...`."""
    before = set(sys.modules)
    yield PluginPackages(folder, monkeypatch)
    offered.cache_clear()
    for name in set(sys.modules) - before:
        if name.startswith("loom_test_"):
            del sys.modules[name]


def problems_of(definition: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a definition that is refused."""
    with pytest.raises(InvalidDefinition) as caught:
        parse(definition)
    return [str(each) for each in caught.value.problems]


def fresh_environment(folder: Path) -> Path:
    """Make a virtual environment that has what this one has, with the example plugin installed, and return its
    Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=patience(120))
    python = folder / "bin" / "python"
    ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    own = subprocess.run(ask, check=True, capture_output=True, text=True, timeout=patience(60)).stdout.strip()
    here = sysconfig.get_path("purelib")
    (Path(own) / "what_the_tests_have.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    command += ["--no-deps", "--no-build-isolation", "--target", own, str(EXAMPLE)]
    subprocess.run(command, check=True, timeout=patience(300))
    return python
