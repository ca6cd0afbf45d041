"""Tests what `kubectl apply -k deploy/k8s/examples/api` would send, and the API's service of Docker Compose."""

from __future__ import annotations

import importlib.util
import subprocess
from functools import cache
from io import StringIO

import pytest
from ruamel.yaml import YAML

from loom.project.config import LoomConfig
from loom_api.settings import ApiSettings
from loom_common.domain.access import Action, Kind, Viewer
from loom_dev.programs import kubectl
from support.manifests import K8S, VERSIONS, Manifest, selects, validate

PORT = 8780


@cache
def built() -> tuple[Manifest, ...]:
    command = [kubectl(), "kustomize", str(K8S / "examples" / "api")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return tuple(YAML(typ="safe").load_all(StringIO(done.stdout)))


def named(kind: str, name: str) -> Manifest:
    [found] = [each for each in built() if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_and_in_one_namespace(version):
    for each in built():
        validate(each, version)
        assert each["kind"] == "Namespace" or each["metadata"]["namespace"] == "loom"


def test_the_ingress_leads_through_the_service_to_the_pods_that_answer():
    [rule] = named("Ingress", "loom-api")["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    service = named("Service", backend["name"])
    [port] = service["spec"]["ports"]
    pod = named("Deployment", "loom-api")["spec"]["template"]
    assert selects({"matchLabels": service["spec"]["selector"]}, pod["metadata"]["labels"])
    [container] = pod["spec"]["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert (backend["port"]["name"], ports[port["targetPort"]]) == (port["name"], PORT)
    assert importlib.util.find_spec(container["command"][2]) is not None
    labels = pod["metadata"]["labels"]
    deployments = [each for each in built() if each["kind"] == "Deployment"]
    chosen = [each for each in deployments if selects(each["spec"]["selector"], labels)]
    assert [each["metadata"]["name"] for each in chosen] == ["loom-api"]


def test_it_has_the_settings_of_the_others_and_listens_where_the_proxy_reaches_it(monkeypatch):
    [container] = named("Deployment", "loom-api")["spec"]["template"]["spec"]["containers"]
    coordinator = named("Deployment", "loom-coordinator")["spec"]["template"]["spec"]["containers"][0]
    assert container["envFrom"] == coordinator["envFrom"]
    assert container["image"].startswith("registry.example.com/loom:")
    for each in container["env"]:
        if "value" in each:
            monkeypatch.setenv(each["name"], each["value"])
    settings = ApiSettings()
    assert (settings.host, settings.port) == ("0.0.0.0", PORT)
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": "health"}
    assert container["securityContext"] == coordinator["securityContext"]


def test_its_policies_say_who_may_ask_through_the_ingress(tmp_path):
    pod = named("Deployment", "loom-api")["spec"]["template"]["spec"]
    [volume] = [each for each in pod["volumes"] if each["name"] == "access"]
    [mount] = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "access"]
    assert (mount["mountPath"], mount["subPath"]) == ("/project/loom.yaml", "loom.yaml")
    file = tmp_path / "loom.yaml"
    file.write_text(named("ConfigMap", volume["configMap"]["name"])["data"]["loom.yaml"])
    access = LoomConfig.load(file).access
    ApiSettings(host="0.0.0.0").refuse_open_address(controlled=access.controlled)
    assert Viewer("admin", policies=access.policies).may(Kind.CLUSTER, Action.CONTROL)
    assert not Viewer("guest", policies=access.policies).may(Kind.RUNS, Action.READ_DATA, "reviews")


def test_only_the_ingress_controller_and_the_reader_of_metrics_reach_it():
    labels = named("Deployment", "loom-api")["spec"]["template"]["metadata"]["labels"]
    doors = {
        (source["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
        for policy in built()
        if policy["kind"] == "NetworkPolicy" and selects(policy["spec"]["podSelector"], labels)
        for rule in policy["spec"].get("ingress", ())
        for source in rule["from"]
        for port in rule["ports"]
    }
    assert doors == {("ingress-nginx", PORT), ("monitoring", 8080)}


def test_compose_publishes_it_on_this_machine_alone():
    service = YAML(typ="safe").load(K8S.parents[1] / "docker-compose.yml")["services"]["api"]
    assert service["command"] == ["python", "-m", "loom_api"]
    [port] = service["ports"]
    assert port.startswith("127.0.0.1:")
    assert port.endswith(f":{PORT}")
    assert service["environment"]["LOOM_API_UNPROTECTED"] == "true"
    assert service["profiles"] == ["api"]


def test_compose_gives_every_process_of_loom_the_keys_of_sensitive_fields_by_reference():
    services = YAML(typ="safe").load(K8S.parents[1] / "docker-compose.yml")["services"]
    ours = {name: each["environment"] for name, each in services.items() if each["image"] == "loom"}
    assert len(ours) == 8
    for name, environment in ours.items():
        taken = {key: environment.get(key, "not given") for key in ("LOOM_ENCRYPTION_KEY", "LOOM_ENCRYPTION_KEYS")}
        assert set(taken.values()) == {None}, name  # from the shell or .env, where it is set
