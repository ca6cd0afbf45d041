"""Builds a peer's environment, once: a virtual environment with the pinned packages of `bench/peers/<peer>.txt`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.result import BenchError

HERE = Path(__file__).parent
PLACE = HERE.parents[1] / ".bench-peers"


def python_of(peer: str) -> str:
    """Return the Python of a peer's environment, which is built where it is not there. Raises `BenchError`."""
    wanted, folder = (HERE / f"{peer}.txt").read_text("utf-8"), PLACE / peer
    built = folder / "built-for.txt"
    python = folder / "bin" / "python"
    if built.exists() and built.read_text("utf-8") == wanted:
        return str(python)
    uv = str(Path(sys.executable).with_name("uv"))
    _do(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
    _do(uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), "-r", str(HERE / f"{peer}.txt"))
    built.write_text(wanted, "utf-8")
    return str(python)


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(command[:3])} failed: {done.stderr.strip()[-500:]}")
