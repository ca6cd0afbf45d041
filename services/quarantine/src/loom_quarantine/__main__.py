"""`python -m loom_quarantine` runs the quarantine as a process of its own."""

from __future__ import annotations

from loom_common.service import entry


def run() -> None:
    """Run until SIGTERM or SIGINT."""
    entry.begin()
    from loom_common.service.process import main
    from loom_quarantine.service import build

    main("quarantine", build)


if __name__ == "__main__":
    run()
