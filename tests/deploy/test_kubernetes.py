"""What is applied to Kubernetes: valid by its own schemas, whole among itself, placed as the design says."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import ray
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY = Path(__file__).parents[2] / "deploy" / "kubernetes"
VERSION = "1.37"
KUSTOMIZATION = yaml.safe_load((DIRECTORY / "kustomization.yaml").read_text())
OBJECTS: list[dict[str, Any]] = [
    found for name in KUSTOMIZATION["resources"] for found in yaml.safe_load_all((DIRECTORY / name).read_text())
]
CLUSTER = next(found for found in OBJECTS if found["kind"] == "RayCluster")
# RayCluster, ray.io/v1, as KubeRay 1.3 defines it: what stands nowhere here is a mistake.
GROUP = {"rayStartParams", "template", "serviceType", "headService", "enableIngress"}
WORKERS = {"groupName", "replicas", "minReplicas", "maxReplicas", "numOfHosts", "idleTimeoutSeconds", "suspend",
           "scaleStrategy", "rayStartParams", "template"}  # fmt: skip
SPEC = {"rayVersion", "enableInTreeAutoscaling", "autoscalerOptions", "gcsFaultToleranceOptions", "headGroupSpec",
        "workerGroupSpecs", "suspend", "managedBy", "headServiceAnnotations"}  # fmt: skip


def named(found: dict[str, Any]) -> str:
    return f"{found['kind']}/{found['metadata']['name']}"


def templates() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every pod template, Ray's groups too."""
    for found in OBJECTS:
        if found["kind"] == "Deployment":
            yield named(found), found["spec"]["template"]
    for group in (CLUSTER["spec"]["headGroupSpec"], *CLUSTER["spec"]["workerGroupSpecs"]):
        yield f"ray/{group.get('groupName', 'head')}", group["template"]


def template_of(part: str) -> dict[str, Any]:
    return next(t for _, t in templates() if t["metadata"]["labels"]["part"] == part)


@pytest.mark.parametrize("found", [o for o in OBJECTS if o["kind"] != "RayCluster"], ids=named)
def test_an_object_is_one_that_kubernetes_takes(found: dict[str, Any]) -> None:
    kubernetes_validate.validate(found, VERSION, strict=True)


@pytest.mark.parametrize(("name", "template"), list(templates()), ids=[name for name, _ in templates()])
def test_a_pod_is_one_that_kubernetes_takes(name: str, template: dict[str, Any]) -> None:
    labels = template["metadata"]["labels"]
    pod = {"selector": {"matchLabels": labels}, "template": copy.deepcopy(template)}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": pod}
    kubernetes_validate.validate(deployment, VERSION, strict=True)
    spec = template["spec"]
    assert spec["securityContext"]["runAsNonRoot"], name
    volumes = {volume["name"] for volume in spec.get("volumes", ())}
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        assert {mount["name"] for mount in container.get("volumeMounts", ())} <= volumes
    assert all("limits" in container["resources"] for container in spec["containers"])


def test_the_validation_would_find_a_mistake() -> None:
    wrong = copy.deepcopy(next(o for o in OBJECTS if named(o) == "Deployment/gateway"))
    wrong["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSION, strict=True)


def test_the_ray_cluster_has_the_groups_of_the_design_and_nothing_that_kuberay_does_not_know() -> None:
    spec = CLUSTER["spec"]
    assert CLUSTER["apiVersion"] == "ray.io/v1"
    assert set(spec) <= SPEC
    assert set(spec["headGroupSpec"]) <= GROUP
    assert all(set(group) <= WORKERS for group in spec["workerGroupSpecs"])
    assert spec["rayVersion"] == ray.__version__
    assert set(spec["gcsFaultToleranceOptions"]) <= {"redisAddress", "redisPassword", "externalStorageNamespace"}
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    groups = {group["groupName"]: group for group in spec["workerGroupSpecs"]}
    assert set(groups) == {"shard", "inference"}
    for name, group in groups.items():
        # KubeRay hands the value to a shell: a JSON object in quotes, its own escaped
        offered = json.loads(json.loads(group["rayStartParams"]["resources"]))
        assert offered[name] >= 1
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    (inference,) = groups["inference"]["template"]["spec"]["containers"]
    assert inference["resources"]["limits"]["nvidia.com/gpu"] == groups["inference"]["rayStartParams"]["num-gpus"]


def test_objects_name_each_other_rightly() -> None:
    names = [named(found) for found in OBJECTS]
    assert len(set(names)) == len(names)
    assert {path.name for path in DIRECTORY.glob("*.yaml")} == {"kustomization.yaml", *KUSTOMIZATION["resources"]}
    for name, template in templates():
        spec = template["spec"]
        for container in (*spec["containers"], *spec.get("initContainers", ())):
            for source in container.get("envFrom", ()):
                (ref,) = source.values()
                kind = "Secret" if "secretRef" in source else "ConfigMap"
                assert f"{kind}/{ref['name']}" in names, name
        for volume in spec.get("volumes", ()):
            if "secret" in volume:
                assert f"Secret/{volume['secret']['secretName']}" in names
            if "persistentVolumeClaim" in volume:
                assert f"PersistentVolumeClaim/{volume['persistentVolumeClaim']['claimName']}" in names
    labels = [template["metadata"]["labels"] for _, template in templates()]
    for found in OBJECTS:
        spec = found.get("spec", {})
        selector = spec.get("selector", spec.get("podSelector", {}))
        wanted = (selector or {}).get("matchLabels", selector if found["kind"] == "Service" else {})
        if found["kind"] in {"Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment"}:
            assert any(wanted.items() <= known.items() for known in labels), named(found)
        if found["kind"] == "HorizontalPodAutoscaler":
            target = spec["scaleTargetRef"]
            assert f"{target['kind']}/{target['name']}" in names


@pytest.mark.parametrize("part", ["gateway", "ingest"])
def test_what_serves_has_probes_a_budget_and_a_way_in(part: str) -> None:
    serving = [c for c in template_of(part)["spec"]["containers"] if "ports" in c]
    assert all({"startupProbe", "readinessProbe", "livenessProbe"} <= set(container) for container in serving)
    by_name = {named(found): found["spec"] for found in OBJECTS if "spec" in found}
    assert by_name[f"PodDisruptionBudget/{part}"]["minAvailable"] >= 1
    assert by_name[f"Deployment/{part}"]["replicas"] > by_name[f"PodDisruptionBudget/{part}"]["minAvailable"]
    (way,) = by_name[f"NetworkPolicy/{part}"]["ingress"]
    ports = {port["containerPort"] for container in serving for port in container["ports"]}
    assert {port["port"] for port in way["ports"]} == ports
    assert {p["targetPort"] for p in by_name[f"Service/{part}"]["ports"]} == {
        port["name"] for container in serving for port in container["ports"]
    }


def test_the_listener_sees_callers_as_they_are_and_needs_no_ray() -> None:
    service = next(o for o in OBJECTS if named(o) == "Service/ingest")["spec"]
    assert service["externalTrafficPolicy"] == "Local"
    assert [c["name"] for c in template_of("ingest")["spec"]["containers"]] == ["listener"]
    assert "ray" in {c["name"] for c in template_of("gateway")["spec"]["containers"]}


def test_nothing_comes_in_unless_it_is_said() -> None:
    closed = next(o for o in OBJECTS if named(o) == "NetworkPolicy/nothing")["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress"]}
