"""Runs `loom ...` in this process, which says at its end what it held: `python measured_loom.py FILE run
pipeline.yaml`.

The operating system's own figure for a finished child counts the memory of the process it was forked from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from loom.cli.app import main
from loom_dev.process_memory import peak_memory

if __name__ == "__main__":
    _, file, *arguments = sys.argv
    sys.argv = ["loom", *arguments]
    try:
        main()  # as the command begins: with arguments, it would not set up the allocator
    finally:
        Path(file).write_text(f"{peak_memory(os.getpid())}")
