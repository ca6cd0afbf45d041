"""Builds the wheel that users install, and checks it: `python -m loom_dev.wheels FOLDER`, or `make wheels`.

It is built twice; both must have the same bytes. Its metadata must be valid, it must hold every package and none of
what runs and tests leave in a checkout, and name no dependency that is a package of this tree."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from email.parser import BytesParser
from pathlib import Path

from packaging.metadata import Metadata
from packaging.requirements import Requirement

PACKAGES = (
    "loom", "loom_ai", "loom_api", "loom_common", "loom_connectors", "loom_coordinator", "loom_evaluator",
    "loom_extractor", "loom_loader", "loom_migrations", "loom_quarantine", "loom_transformer",
)  # fmt: skip
_STRAY = ("__pycache__", ".loom/", "demo_project/results/", ".pyc", ".env")
_NEEDED = ("loom/demo_project/pipeline.yaml", "loom/demo_project/data/reviews.csv", "loom/py.typed")


def build(checkout: Path, folder: Path) -> Path:
    """Build the wheel of a checkout into a folder, and return it. Nothing is downloaded."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        command = [
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "--target",
            "wheel",
            "--directory",
            str(Path(fresh).resolve()),
        ]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"The wheel cannot be built:\n{done.stderr}")
        (wheel,) = Path(fresh).iterdir()
        return wheel.replace(folder / wheel.name)


def mistakes(wheel: Path) -> list[str]:
    """Return what is wrong with a wheel."""
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        (written,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        text = content.read(written)
    wrong = [f"it holds {name}" for name in names if any(part in name for part in _STRAY)]
    needed = [*(f"{package}/__init__.py" for package in PACKAGES), *_NEEDED]
    wrong += [f"it lacks {name}" for name in needed if name not in names]
    try:
        Metadata.from_email(text, validate=True)
    except Exception as invalid:  # noqa: BLE001 - a group of errors, of a class of its own before Python 3.11
        wrong += [f"its metadata: {error}" for error in getattr(invalid, "exceptions", [invalid])]
    required = BytesParser().parsebytes(text).get_all("Requires-Dist", [])
    own = [line for line in required if Requirement(line).name.startswith("loom-")]
    return wrong + [f"it needs {line}, which on a package index is somebody else's" for line in own]


def main() -> None:
    """Build and check the wheel. Exits with 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m loom_dev.wheels", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the wheel is put")
    folder = parser.parse_args().folder
    wheel = build(Path(), folder)
    with tempfile.TemporaryDirectory() as again:
        same = build(Path(), Path(again)).read_bytes() == wheel.read_bytes()
    wrong = mistakes(wheel) + ([] if same else ["built twice, it has other bytes"])
    if wrong:
        sys.exit("\n".join(f"{wheel}: {each}" for each in wrong))
    print(f"{wheel}: {wheel.stat().st_size:,} bytes, the same when it is built again; its metadata is valid.")


if __name__ == "__main__":
    main()
