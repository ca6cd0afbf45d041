"""Tests what the manifests allow: a pod to do nothing it need not, and to speak only with whom it must."""

import re

import pytest

from support.manifests import K8S, OVERLAYS, built, component, containers, named, of_kind, pods, reach, settings_of

POD_RULES = {
    "no_token": lambda pod: pod["spec"]["automountServiceAccountToken"] is False,
    "own_account": lambda pod: pod["spec"]["serviceAccountName"] == "loom",
    "non_root": lambda pod: pod["spec"]["securityContext"]["runAsNonRoot"] is True,
    "known_user": lambda pod: pod["spec"]["securityContext"]["runAsUser"] == 10001,  # the Dockerfile's
    "seccomp": lambda pod: pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"},
    "no_host": lambda pod: not {"hostNetwork", "hostPID", "hostIPC"} & set(pod["spec"]),
    "no_node_path": lambda pod: not any("hostPath" in volume for volume in pod["spec"]["volumes"]),
    "bounded_tmp": lambda pod: any(
        volume["name"] == "tmp" and volume["emptyDir"].get("sizeLimit") for volume in pod["spec"]["volumes"]
    ),
}
CONTAINER_RULES = {
    "no_escalation": lambda each: each["securityContext"]["allowPrivilegeEscalation"] is False,
    "no_privilege": lambda each: each["securityContext"]["privileged"] is False,
    "read_only": lambda each: each["securityContext"]["readOnlyRootFilesystem"] is True,
    "writable_tmp": lambda each: {"name": "tmp", "mountPath": "/tmp"} in each["volumeMounts"],
    "no_capability": lambda each: each["securityContext"]["capabilities"] == {"drop": ["ALL"]},
    "requests": lambda each: {"cpu", "memory", "ephemeral-storage"} <= set(each["resources"]["requests"]),
    "limits": lambda each: {"cpu", "memory", "ephemeral-storage"} <= set(each["resources"]["limits"]),
    "pinned": lambda each: re.fullmatch(r"loom:(?!latest)[\w.-]+", each["image"]),
}


@pytest.mark.parametrize("rule", POD_RULES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_confined(overlay, rule):
    assert [name for name, pod in pods(overlay).items() if not POD_RULES[rule](pod)] == []


@pytest.mark.parametrize("rule", CONTAINER_RULES)
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_container_is_confined(overlay, rule):
    loose = [name for name, pod in pods(overlay).items() for each in containers(pod) if not CONTAINER_RULES[rule](each)]
    assert loose == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_namespaces_hold_pods_to_the_restricted_standard(overlay):
    (namespace,) = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    namespaced = (each for each in built(overlay) if each["kind"] != "Namespace")
    assert {each["metadata"].get("namespace") for each in namespaced} == {namespace["metadata"]["name"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_are_referred_to_and_never_contained(overlay):
    assert of_kind(overlay, "Secret") == []
    assert not [value for value in settings_of(overlay)["data"].values() if "://" in value]
    for pod in pods(overlay).values():
        for container in containers(pod):
            assert all(set(each) == {"name", "valueFrom"} for each in container["env"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_key_of_a_secret_is_in_the_example(overlay):
    example = set(re.findall(r"^([A-Z_]+)=", (K8S / "secret.example.env").read_text(), re.MULTILINE))
    env = [
        each["valueFrom"]["secretKeyRef"]
        for pod in pods(overlay).values()
        for container in containers(pod)
        for each in container["env"]
    ]
    keda = [
        each for manifest in of_kind(overlay, "TriggerAuthentication") for each in manifest["spec"]["secretTargetRef"]
    ]
    assert {each["name"] for each in (*env, *keda)} == {"loom-backends"}
    assert {each["key"] for each in (*env, *keda)} <= example


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_service_and_no_job_is_given_the_keys_of_sensitive_fields_by_reference(overlay):
    keys = {"secretRef": {"name": "loom-encryption", "optional": True}}
    given = {name for name, pod in pods(overlay).items() for each in containers(pod) if keys in each["envFrom"]}
    assert given == {component(each) for each in of_kind(overlay, "Deployment")}


NAMES, BROKER, DATABASE, REDIS, MODELS = 53, 5672, 5432, 6379, 443


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize(
    ("who", "egress", "ingress"),
    [
        ("coordinator", {NAMES, BROKER, DATABASE, MODELS}, {8080}),
        ("extractor", {NAMES, BROKER, DATABASE}, {8080}),
        ("transformer", {NAMES, BROKER, DATABASE, REDIS, MODELS}, {8080}),
        ("evaluator", {NAMES, BROKER, DATABASE, REDIS, MODELS}, {8080}),
        ("loader", {NAMES, BROKER, DATABASE}, {8080}),
        ("quarantine", {NAMES, BROKER, DATABASE}, {8080}),
        ("migrate", {NAMES, DATABASE}, set()),
        ("topology", {NAMES, BROKER}, set()),
    ],
)
def test_a_pod_reaches_what_it_needs_and_nothing_else(overlay, who, egress, ingress):
    labels = pods(overlay)[who]["metadata"]["labels"]
    assert reach(overlay, labels, "egress") == egress
    assert reach(overlay, labels, "ingress") == ingress


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_no_policy_allows_is_denied_and_every_policy_says_to_whom(overlay):
    deny = named(overlay, "NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in of_kind(overlay, "NetworkPolicy"):
        rules = [*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())]
        assert all((rule.get("to") or rule.get("from")) and rule["ports"] for rule in rules)
