"""Runs the coordinator's service: `python -m loom_coordinator`. `loom-coordinator --help`: its administration."""

from __future__ import annotations

from loom_common.service import entry


def main() -> None:
    """Serve as the entry point of both. Ends the process."""
    entry.begin()
    from loom_coordinator.admin import app

    app.main()


if __name__ == "__main__":
    main()
