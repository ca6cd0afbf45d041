"""Runs `loom ...` in this process, which says at its end what it held: `python measured_loom.py FILE run
pipeline.yaml`.

The operating system's own figure for a finished child counts the memory of the process it was forked from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from loom.cli.app import main
from support.cluster import peak_memory

if __name__ == "__main__":
    try:
        main(sys.argv[2:])
    finally:
        Path(sys.argv[1]).write_text(f"{peak_memory(os.getpid())}")
