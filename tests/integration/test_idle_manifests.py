"""Tests what `kubectl apply -k deploy/k8s/examples/streams` would send: transformers that go down to none between
windows."""

from __future__ import annotations

import subprocess
from io import StringIO

from ruamel.yaml import YAML

from loom_dev.programs import kubectl
from loom_dev.waiting import patience
from support.manifests import K8S, VERSIONS, built, validate


def test_transformers_and_evaluators_go_down_to_none_and_come_back_with_the_first_batch():
    command = [kubectl(), "kustomize", str(K8S / "examples" / "streams")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience(60), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    sent = list(YAML(typ="safe").load_all(StringIO(done.stdout)))
    scaled = {each["metadata"]["name"]: each for each in sent if each["kind"] == "ScaledObject"}
    assert sorted(scaled) == ["loom-evaluator", "loom-transformer"]
    for each in scaled.values():
        assert each["spec"]["minReplicaCount"] == 0
        assert each["spec"]["pollingInterval"] == 5
        (trigger,) = each["spec"]["triggers"]
        assert trigger["metadata"].get("activationValue", "0") == "0"  # one batch that waits is enough
        assert trigger["metadata"]["excludeUnacknowledged"] == "false"  # one that is worked on keeps its replica
        validate(each, VERSIONS[-1])
    others = {each["metadata"]["name"] for each in sent if each["kind"] == "Deployment"} - set(scaled)
    assert others == {
        "loom-coordinator",
        "loom-extractor",
        "loom-loader",
        "loom-quarantine",
    }  # they read, load and count
    production = {each["metadata"]["name"]: each for each in built("prod") if each["kind"] == "ScaledObject"}
    assert {each["spec"]["minReplicaCount"] for each in production.values()} == {1}
