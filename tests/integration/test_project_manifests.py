"""Tests what `kubectl apply -k deploy/k8s/examples/project` would send, and whether services of Compose are healthy."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from io import StringIO

import pytest
from ruamel.yaml import YAML

from loom.project import definition_file
from loom.project.config import LoomConfig
from loom_dev.programs import kubectl
from loom_dev.waiting import patience
from support.manifests import K8S, VERSIONS, Manifest, selects, validate

HERE = K8S / "examples" / "project"
ROOT = K8S.parents[1]
NAMES = ("reviews-once", "reviews-daily", "models-in-the-cluster")
"""Lists what the example adds to the overlay, besides a resource of the operator of Prometheus."""


@cache
def built() -> tuple[Manifest, ...]:
    command = [kubectl(), "kustomize", str(HERE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience(60), check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return tuple(YAML(typ="safe").load_all(StringIO(done.stdout)))


def of_kind(kind: str) -> list[Manifest]:
    return [each for each in built() if each["kind"] == kind]


def clients() -> list[Manifest]:
    """Return the pods of the Job and of the CronJob."""
    [once] = [each for each in of_kind("Job") if each["metadata"]["name"] == "reviews-once"]
    [daily] = of_kind("CronJob")
    return [once["spec"]["template"], daily["spec"]["jobTemplate"]["spec"]["template"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_of_the_example_is_valid(version):
    added = [each for each in built() if each["metadata"]["name"] in NAMES]
    assert {each["metadata"]["namespace"] for each in added} == {"loom-dev"}
    assert len(added) == len(NAMES)
    for each in added:
        validate(each, version)


def test_clients_may_speak_with_the_broker_and_nobody_with_them_and_have_no_rights():
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind("NetworkPolicy")}
    for pod in clients():
        labels = pod["metadata"]["labels"]
        assert all(selects(policies[name]["podSelector"], labels) for name in ("names", "broker"))
        assert not selects(policies["models-in-the-cluster"]["podSelector"], labels)
        [container] = pod["spec"]["containers"]
        assert container["image"] == "registry.example.com/reviews:0.2.0"
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert [each["name"] for each in container["env"]] == ["LOOM_BUS_URL"]


def test_the_monitor_reads_every_service_at_the_port_that_it_opens():
    [monitor] = of_kind("PodMonitor")
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    pods = {each["metadata"]["name"]: each["spec"]["template"] for each in of_kind("Deployment")}
    assert len(pods) == 6
    for name, pod in pods.items():
        assert selects(monitor["spec"]["selector"], pod["metadata"]["labels"]), name
        [container] = pod["spec"]["containers"]
        assert endpoint["port"] in {each["name"] for each in container["ports"]}, name
    others = [each["spec"]["template"] for each in of_kind("Job")] + clients()
    assert not any(selects(monitor["spec"]["selector"], pod["metadata"]["labels"]) for pod in others)


def test_the_pipeline_that_they_run_is_that_of_the_readme_with_rows_in_the_database():
    copied = [line.split()[1:] for line in (HERE / "Dockerfile").read_text().splitlines() if line.startswith("COPY")]
    own = f"{HERE.relative_to(ROOT)}/loom.yaml"
    assert {"!examples", "!deploy/k8s/examples"} <= set((ROOT / ".dockerignore").read_text().splitlines())
    assert copied == [["examples/customer_sentiment", "/project"], [own, "/project/loom.yaml"]]
    for pod in clients():
        [container] = pod["spec"]["containers"]
        program, verb, file = container["command"]
        assert (program, verb, container["workingDir"]) == ("loom", "run", "/project")
        config = LoomConfig.load(HERE / "loom.yaml")
        loaded = definition_file.load(ROOT / "examples/customer_sentiment" / file, config.applied_to, config.allowed)
        assert (config.distributed, loaded.pipeline.target) == (True, "cluster")
        assert loaded.pipeline.load.destination == "${RESULTS_URL}?table=customer_sentiment"
        assert loaded.pipeline.load.mode == "upsert"
    [loader] = [each for each in of_kind("Deployment") if each["metadata"]["name"] == "loom-loader"]
    [container] = loader["spec"]["template"]["spec"]["containers"]
    assert {"secretRef": {"name": "loom-destinations", "optional": True}} in container["envFrom"]


def test_every_service_of_compose_is_asked_whether_it_is_healthy_and_publishes_on_loopback_alone():
    services = YAML(typ="safe").load(ROOT / "docker-compose.yml")["services"]
    for name, service in services.items():
        check = service["healthcheck"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        if name == "prepare":
            assert check == {"disable": True}
        elif service.get("image") == "loom":
            port = service["environment"]["LOOM_HEALTH_PORT"]
            assert f"http://127.0.0.1:{port}/readyz" in check["test"][-1], name
            ast.parse(check["test"][-1])
        else:
            assert check["test"][0] == "CMD", name
