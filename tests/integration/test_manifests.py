"""Tests what `kubectl apply -k` would send: valid, and fitting what it deploys."""

import copy
import importlib.util
from collections.abc import Iterator
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from loom_common.config.settings import Settings
from loom_common.flow import TOPOLOGY
from loom_dev.cluster.services import SERVICES
from support.manifests import (
    OVERLAYS,
    VERSIONS,
    WORKLOADS,
    Manifest,
    built,
    component,
    containers,
    named,
    of_kind,
    pods,
    selects,
    settings_of,
    validate,
)


def test_there_are_overlays_for_development_and_for_production_with_and_without_keda():
    assert OVERLAYS == ["dev", "prod", "prod-hpa"]
    kinds = {overlay: {each["kind"] for each in built(overlay)} for overlay in OVERLAYS}
    scalers = {"ScaledObject", "TriggerAuthentication", "HorizontalPodAutoscaler"}
    assert kinds["dev"] & scalers == set()
    assert kinds["prod"] & scalers == {"ScaledObject", "TriggerAuthentication"}
    assert kinds["prod-hpa"] & scalers == {"HorizontalPodAutoscaler"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_object_is_valid(overlay, version):
    for manifest in built(overlay):
        validate(manifest, version)


def broken(manifest: Manifest, path: str, value: Any) -> Manifest:
    """Return a copy with one value changed; None takes it away."""
    changed = copy.deepcopy(manifest)
    *way, last = (int(step) if step.isdigit() else step for step in path.split("/"))
    place = changed
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return changed


CONTAINER = "spec/template/spec/containers/0"
METADATA = "spec/triggers/0/metadata"


@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [
        ("Deployment", "loom-loader", "spec/replica", 2),
        ("Deployment", "loom-loader", "spec/replicas", "two"),
        ("Deployment", "loom-loader", "spec/selector", None),
        ("Deployment", "loom-loader", f"{CONTAINER}/readinessProbe/httpGet/url", "/readyz"),
        ("Deployment", "loom-loader", f"{CONTAINER}/securityContext/readOnlyRootFileSystem", True),
        ("Deployment", "loom-loader", f"{CONTAINER}/securityContext/readOnlyRootFilesystem", "true"),
        ("Job", "loom-migrate", "spec/template/spec/restart", "Never"),
        ("Job", "loom-migrate", "spec/backoffLimit", "many"),
        ("NetworkPolicy", "broker", "spec/egress/0/too", []),
        ("PodDisruptionBudget", "loom-loader", "spec/maxUnavailable", [1]),
        ("HorizontalPodAutoscaler", "loom-transformer", "spec/maxReplicas", None),
        ("HorizontalPodAutoscaler", "loom-transformer", "spec/metrics/0/external/target/average", "8"),
        ("ScaledObject", "loom-transformer", "spec/scaleTargetRef", None),
        ("ScaledObject", "loom-transformer", "spec/maxReplicas", 20),
        ("ScaledObject", "loom-transformer", "spec/triggers", []),
        ("ScaledObject", "loom-transformer", "spec/fallback/failureThreshold", None),
        ("ScaledObject", "loom-transformer", "spec/advanced/horizontalPodAutoscalerConfig/behaviour", {}),
        ("ScaledObject", "loom-transformer", "spec/triggers/0/type", "rabitmq"),
        ("ScaledObject", "loom-transformer", f"{METADATA}/value", 8),
        ("ScaledObject", "loom-transformer", f"{METADATA}/excludeUnacknowledged", False),
        ("ScaledObject", "loom-transformer", f"{METADATA}/excludeUnacked", "false"),
        ("ScaledObject", "loom-transformer", f"{METADATA}/protocol", "amqp"),
        ("ScaledObject", "loom-transformer", f"{METADATA}/mode", "Length"),
        ("ScaledObject", "loom-transformer", f"{METADATA}/queueName", None),
        ("TriggerAuthentication", "loom-broker", "spec/secretTargetRef/0/key", None),
        ("TriggerAuthentication", "loom-broker", "spec/secretTargetRef/0/parameter", "url"),
    ],
)
def test_a_broken_object_is_refused(kind, name, path, value):
    manifest = named("prod-hpa" if kind == "HorizontalPodAutoscaler" else "prod", kind, name)
    validate(manifest)
    with pytest.raises(jsonschema.ValidationError):
        validate(broken(manifest, path, value))


def test_an_object_of_an_unknown_kind_is_refused():
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        validate({**named("prod", "Deployment", "loom-loader"), "kind": "Deploy"})


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_there_is_a_deployment_for_each_service_and_a_job_for_schema_and_topology(overlay):
    assert {component(each) for each in of_kind(overlay, "Deployment")} == {service.name for service in SERVICES}
    commands = {tuple(each["spec"]["template"]["spec"]["containers"][0]["command"]) for each in of_kind(overlay, "Job")}
    coordinator = ("python", "-m", "loom_coordinator")
    assert commands == {(*coordinator, "db", "upgrade"), (*coordinator, "topology", "apply")}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_command_is_a_module_of_loom(overlay):
    for pod in pods(overlay).values():
        (container,) = containers(pod)
        assert container["command"][:2] == ["python", "-m"]
        assert importlib.util.find_spec(container["command"][2])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_is_given_more_time_to_end_than_it_takes_to_drain(overlay):
    drain = float(settings_of(overlay)["data"]["LOOM_WORKER_DRAIN_SECONDS"])
    for deployment in of_kind(overlay, "Deployment"):
        assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= drain + 10


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_setting_is_one_that_loom_reads(overlay, monkeypatch):
    config = settings_of(overlay)
    assert config["metadata"]["name"].startswith(
        "loom-settings-"
    )  # its content is in its name: a change rolls the pods
    for pod in pods(overlay).values():
        for container in containers(pod):
            assert {"configMapRef": {"name": config["metadata"]["name"]}} in container["envFrom"]
            given = {*config["data"], *(each["name"] for each in container["env"])}
            assert given <= set(readable())
    for name, value in config["data"].items():
        monkeypatch.setenv(name, value)
    assert Settings().health.port == 8080


def readable() -> Iterator[str]:
    """Yield every environment variable of `Settings`."""
    for name, field in Settings.model_fields.items():
        if nested := getattr(field.annotation, "model_fields", None):
            yield from (f"{field.annotation.model_config['env_prefix']}{inner}".upper() for inner in nested)
        else:
            yield f"LOOM_{name}".upper()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_ask_the_port_that_is_served(overlay):
    settings = settings_of(overlay)["data"]
    paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for deployment in of_kind(overlay, "Deployment"):
        (container,) = containers(deployment["spec"]["template"])
        (port,) = container["ports"]
        assert str(port["containerPort"]) == settings["LOOM_HEALTH_PORT"]
        for probe, path in paths.items():
            assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}
        told = deployment["spec"]["template"]["metadata"]["annotations"]
        assert told["prometheus.io/port"] == settings["LOOM_HEALTH_PORT"]
        assert "lifecycle" not in container


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_node_can_be_drained_and_takes_one_replica_of_a_service_at_a_time(overlay):
    budgets = of_kind(overlay, "PodDisruptionBudget")
    for deployment in of_kind(overlay, "Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        (budget,) = (each["spec"] for each in budgets if selects(each["spec"]["selector"], labels))
        assert budget["maxUnavailable"] == 1
    assert len(budgets) == len(SERVICES)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_deployment_selects_its_own_pods_and_no_others(overlay):
    deployments = of_kind(overlay, "Deployment")
    for deployment in deployments:
        selected = [
            each["metadata"]["name"]
            for each in of_kind(overlay, *WORKLOADS)
            if selects(deployment["spec"]["selector"], each["spec"]["template"]["metadata"]["labels"])
        ]
        assert selected == [deployment["metadata"]["name"]]


@pytest.mark.parametrize("overlay", ["prod", "prod-hpa"])
def test_transformer_and_evaluator_are_scaled_by_the_length_of_their_own_queue(overlay):
    scalers = of_kind(overlay, "ScaledObject", "HorizontalPodAutoscaler")
    prefetch = settings_of(overlay)["data"]["LOOM_WORKER_PREFETCH"]
    for stage, scaler in zip(("evaluate", "transform"), sorted(scalers, key=component), strict=True):
        target = named(overlay, "Deployment", scaler["spec"]["scaleTargetRef"]["name"])
        assert component(target) == component(scaler)
        assert "replicas" not in target["spec"]  # applying the manifests again must not undo the scaler's choice
        if scaler["kind"] == "ScaledObject":
            (trigger,) = scaler["spec"]["triggers"]
            queue, each = trigger["metadata"]["queueName"], trigger["metadata"]["value"]
            assert trigger["metadata"]["excludeUnacknowledged"] == "false"
            assert named(overlay, "TriggerAuthentication", trigger["authenticationRef"]["name"])
        else:
            external = scaler["spec"]["metrics"][0]["external"]
            queue, each = external["metric"]["selector"]["matchLabels"]["queue"], external["target"]["averageValue"]
        assert queue == f"loom.{stage}"
        assert queue in {declared.name for declared in TOPOLOGY.queues}
        assert each == prefetch


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_of_a_pod_says_what_it_belongs_to(overlay):
    for pod in pods(overlay).values():
        labels = pod["metadata"]["labels"]
        told = {key.removeprefix("app.kubernetes.io/") for key in labels}
        assert told == {"name", "component", "instance", "version", "part-of", "managed-by"}
        (container,) = containers(pod)
        assert container["image"].endswith(f":{labels['app.kubernetes.io/version']}")
