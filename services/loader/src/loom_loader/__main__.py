"""`python -m loom_loader`: the loader as a process of its own."""

from __future__ import annotations

from loom_common.bootstrap import main
from loom_loader.service import build


def run() -> None:
    """Run until told to stop."""
    main("loader", build)


if __name__ == "__main__":
    run()
