"""No file of the project names the host of a package index: installers are told theirs by their own configuration.

The hosts stand here as digests, because this file may not name them either."""

import subprocess
from hashlib import sha256

from support.documents import ROOT

_DIGESTS = ("a4aa2ac280bb8d1a", "8b5bb5eb9d758455", "0dc11026ac75c015")
"""Holds the first digits of the SHA-256 of each host."""
_SAMPLE = ("py", "pi.org")


def is_of_an_index(host: str) -> bool:
    """Tell whether a host is that of a package index, or one below it."""
    labels = host.lower().split(".")
    return any(_digest(".".join(labels[at:])) in _DIGESTS for at in range(len(labels)))


def _digest(host: str) -> str:
    return sha256(host.encode()).hexdigest()[:16]


def test_the_host_of_an_index_is_known_by_its_digest():
    assert is_of_an_index("".join(_SAMPLE))
    assert is_of_an_index("files." + "".join(_SAMPLE))
    assert not is_of_an_index("example.org")


def test_no_file_names_the_host_of_a_package_index():
    command = ["git", "grep", "-InoE", r"[A-Za-z0-9.-]+\.org"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert [line for line in found.stdout.splitlines() if is_of_an_index(line.rpartition(":")[2])] == []
