"""`python -m loom_coordinator`: the service. `loom-coordinator --help`: its administration."""

from __future__ import annotations

from loom_coordinator.admin.app import main

if __name__ == "__main__":
    main()
