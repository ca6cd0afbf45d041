"""Reads the Kubernetes manifests as `kubectl apply -k` would send them, and tells who would accept them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
from ruamel.yaml import YAML

from loom_dev.programs import kubectl
from loom_dev.waiting import patience

K8S = Path(__file__).parents[2] / "deploy" / "k8s"
OVERLAYS = sorted(folder.name for folder in (K8S / "overlays").iterdir())
VERSIONS = ("1.29", "1.32", "1.37")
"""Lists versions of Kubernetes: the oldest that has every field used, and up to the newest known."""
WORKLOADS = ("Deployment", "Job")

Manifest = dict[str, Any]


@cache
def built(overlay: str) -> tuple[Manifest, ...]:
    """Return every object of an overlay."""
    command = [kubectl(), "kustomize", str(K8S / "overlays" / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience(60), check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # a warning tells of something deprecated
    return tuple(YAML(typ="safe").load_all(StringIO(done.stdout)))


def of_kind(overlay: str, *kinds: str) -> list[Manifest]:
    return [each for each in built(overlay) if each["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> Manifest:
    (found,) = (each for each in of_kind(overlay, kind) if each["metadata"]["name"] == name)
    return found


def pods(overlay: str) -> dict[str, Manifest]:
    """Return every pod template, by its component."""
    return {component(each): each["spec"]["template"] for each in of_kind(overlay, *WORKLOADS)}


def component(manifest: Mapping[str, Any]) -> str:
    return manifest["metadata"]["labels"]["app.kubernetes.io/component"]


def containers(pod: Mapping[str, Any]) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def settings_of(overlay: str) -> Manifest:
    """Return the one ConfigMap."""
    (config,) = of_kind(overlay, "ConfigMap")
    return config


def validate(manifest: Manifest, version: str = VERSIONS[0]) -> None:
    """Raises `jsonschema.ValidationError`; `SchemaNotFoundError` for a kind that nobody knows."""
    if manifest["apiVersion"].startswith("keda.sh/"):
        schema = json.loads((K8S / f"schemas/keda-2.16-{manifest['kind'].lower()}.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(manifest)
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Decide as Kubernetes does, for the operators used here."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for each in selector.get("matchExpressions", ()):
        assert each["operator"] in ("In", "NotIn")
        if (labels.get(each["key"]) in each["values"]) is not (each["operator"] == "In"):
            return False
    return True


def reach(overlay: str, labels: Mapping[str, str], way: str) -> set[int]:
    """Return the ports that the policies open for a pod; `way` is `ingress` or `egress`."""
    return {
        port["port"]
        for policy in of_kind(overlay, "NetworkPolicy")
        if selects(policy["spec"]["podSelector"], labels)
        for rule in policy["spec"].get(way, ())
        for port in rule["ports"]
    }
