"""Measures CPU seconds of processes, by their pids."""

from __future__ import annotations

from collections.abc import Mapping

import psutil


def seconds(pid: int) -> float:
    """Return the user and system time of a process and its descendants, ended ones included; NaN where it cannot be
    seen."""
    try:
        process = psutil.Process(pid)
        own = process.cpu_times()
        total = own.user + own.system + own.children_user + own.children_system
        for child in process.children(recursive=True):
            times = child.cpu_times()
            total += times.user + times.system
    except psutil.Error:  # in a container of another machine, or ended meanwhile
        return float("nan")
    return total


class Meter:
    """Measures what named processes, and the machine as a whole, have used since the meter was made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before = {name: seconds(pid) for name, pid in pids.items()}
        self._machine = _busy()

    def used(self) -> dict[str, float]:
        """Return CPU seconds by name."""
        return {name: seconds(pid) - self._before[name] for name, pid in self._pids.items()}

    def machine(self) -> float:
        """Return CPU seconds of everything that runs here."""
        return _busy() - self._machine


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))
