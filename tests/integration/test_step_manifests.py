"""Tests what `kubectl apply -k deploy/k8s/examples/own-queue` would send: transformers of their own for one step."""

from __future__ import annotations

import copy
import subprocess
from functools import cache
from io import StringIO

import pytest
from ruamel.yaml import YAML

from loom_common.config.settings import Settings
from loom_common.flow import step_queue
from loom_dev.programs import kubectl
from loom_dev.waiting import patience
from support.manifests import K8S, VERSIONS, Manifest, selects, validate

STEP = "classify"
NAME = f"loom-transform-{STEP}"


@cache
def built() -> tuple[Manifest, ...]:
    command = [kubectl(), "kustomize", str(K8S / "examples" / "own-queue")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience(60), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return tuple(YAML(typ="safe").load_all(StringIO(done.stdout)))


def named(kind: str, name: str) -> Manifest:
    [found] = [each for each in built() if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_of_the_step_is_valid(version):
    added = [each for each in built() if each["metadata"]["name"] in (NAME, "steps")]
    assert sorted(each["kind"] for each in added) == [
        "Deployment", "NetworkPolicy", "PodDisruptionBudget", "ScaledObject",
    ]  # fmt: skip
    for each in added:
        assert each["metadata"]["namespace"] == "loom"
        validate(each, version)


def test_its_pods_are_those_of_the_transformers_but_for_the_image_and_the_step_that_they_serve():
    step, transformer = (named("Deployment", name)["spec"] for name in (NAME, "loom-transformer"))
    [mine], [other] = (each["template"]["spec"]["containers"] for each in (step, transformer))
    alike = copy.deepcopy(mine)
    served, *alike["env"] = mine["env"]
    assert served == {"name": "LOOM_TRANSFORM_STEPS", "value": STEP}
    assert {**alike, "image": ""} == {**other, "image": ""}
    pods = [{**each["template"]["spec"], "containers": []} for each in (step, transformer)]
    assert pods[0] == pods[1]
    assert step["strategy"] == transformer["strategy"]


def test_no_deployment_selects_the_pods_of_another_one_and_they_reach_what_transformers_reach():
    deployments = [each for each in built() if each["kind"] == "Deployment"]
    labels = {each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"] for each in deployments}
    for each in deployments:
        selected = [name for name, mine in labels.items() if selects(each["spec"]["selector"], mine)]
        assert selected == [each["metadata"]["name"]]
    reached = [
        {
            port["port"]
            for policy in built()
            if policy["kind"] == "NetworkPolicy" and selects(policy["spec"]["podSelector"], labels[name])
            for rule in policy["spec"].get("egress", ())
            for port in rule["ports"]
        }
        for name in (NAME, "loom-transformer")
    ]
    assert reached[0] == reached[1]


def test_it_is_scaled_by_the_queue_that_it_serves(monkeypatch):
    scaler = named("ScaledObject", NAME)["spec"]
    assert scaler["scaleTargetRef"] == {"name": NAME}
    assert "replicas" not in named("Deployment", NAME)["spec"]
    [trigger] = scaler["triggers"]
    monkeypatch.setenv("LOOM_TRANSFORM_STEPS", STEP)
    assert [step_queue(step) for step in Settings().transform.steps] == [trigger["metadata"]["queueName"]]
    assert trigger["metadata"]["excludeUnacknowledged"] == "false"
    assert named("TriggerAuthentication", trigger["authenticationRef"]["name"])
