"""Tries the hooks of this repository by pre-commit itself, in a repository of its own: `make pre-commit`.

pre-commit clones this checkout and installs Loom into an environment, as it does for a user, which takes some minutes
the first time. It is fetched by `uv tool run`, and is no part of the developers' environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

_EXAMPLE = Path("examples/customer_sentiment")
_LEFT_OUT = shutil.ignore_patterns(".loom", "results", "__pycache__")


def main() -> None:
    """Run both hooks over the example, then over a pipeline with a mistake. Exit code 1 where one decides wrongly."""
    checkout = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="loom-pre-commit-") as place:
        folder = Path(place) / "project"
        shutil.copytree(checkout / _EXAMPLE, folder, ignore=_LEFT_OUT)
        _git(folder, "init", "--quiet")
        _git(folder, "add", "--all")
        wrong = [hook for hook in ("loom-validate", "loom-test") if not _passes(checkout, folder, hook)]
        pipeline = folder / "pipeline.yaml"
        pipeline.write_text(pipeline.read_text(encoding="utf-8").replace("load:", "laod:"), encoding="utf-8")
        _git(folder, "add", "--all")
        wrong += [f"{hook} with a mistake" for hook in ("loom-validate",) if _passes(checkout, folder, hook)]
    if wrong:
        print(f"Decided wrongly: {', '.join(wrong)}.", file=sys.stderr)
        sys.exit(1)


def _passes(checkout: Path, folder: Path, hook: str) -> bool:
    command = [sys.executable, "-m", "uv", "tool", "run", "--from", "pre-commit>=4,<5", "pre-commit", "try-repo"]
    environment = {**os.environ, "PRE_COMMIT_HOME": str(checkout / ".pre-commit-home")}
    done = subprocess.run([*command, str(checkout), hook, "--all-files"], cwd=folder, env=environment, check=False)
    return done.returncode == 0


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


if __name__ == "__main__":
    main()
