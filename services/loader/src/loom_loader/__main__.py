"""Runs the loader as a process of its own: `python -m loom_loader`."""

from __future__ import annotations

from loom_common.service import entry


def run() -> None:
    """Run until told to stop."""
    entry.begin()
    from loom_common.service.process import main
    from loom_loader.service import build

    main("loader", build)


if __name__ == "__main__":
    run()
