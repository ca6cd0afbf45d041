"""No file of the project names the host of a package index: installers are told theirs by their own configuration."""

import subprocess

from support.documents import ROOT

_HOSTS = tuple(f"{name}.org" for name in ("pypi", "pythonhosted", "registry.npmjs"))


def test_no_file_names_the_host_of_a_package_index():
    patterns = [part for host in _HOSTS for part in ("-e", host)]
    found = subprocess.run(["git", "grep", "-InF", *patterns], cwd=ROOT, capture_output=True, text=True, check=False)
    own = "tests/unit/docs/test_index_hosts.py:"
    assert [line for line in found.stdout.splitlines() if not line.startswith(own)] == []
    assert found.returncode == 1, found.stderr
