"""The Kubernetes manifests fit the schemas of Kubernetes and KubeRay, and their commands fit conf/."""

import copy
import functools
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from ds2ray.commandline.composing import compose_job

PROJECT = Path(__file__).parents[2]
K8S = PROJECT / "k8s"
CRDS = PROJECT.parent / "shared" / "kuberay-crds"
OVERLAYS = ["cpu", "gpu"]
KUBERNETES_VERSION = "1.34"

Document = dict[str, Any]


def load(path: Path) -> list[Document]:
    # libyaml's parser: KubeRay's definitions have megabytes
    return [document for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if document]


def render(folder: Path) -> list[Document]:
    """The resources that `kubectl kustomize` makes of a folder; features that are not used here are refused."""
    (kustomization,) = load(folder / "kustomization.yaml")
    known = {"apiVersion", "kind", "namespace", "resources", "configMapGenerator", "generatorOptions"}
    assert kustomization.keys() <= known
    documents = []
    for resource in kustomization.get("resources", []):
        path = folder / resource
        documents += render(path) if path.is_dir() else load(path)
    for generator in kustomization.get("configMapGenerator", []):
        assert kustomization["generatorOptions"] == {"disableNameSuffixHash": True}
        data = {name: (folder / name).read_text() for name in generator["files"]}
        documents.append(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": generator["name"]}, "data": data}
        )
    if namespace := kustomization.get("namespace"):
        for document in documents:
            document["metadata"]["namespace"] = namespace
            for subject in document.get("subjects", []):
                subject["namespace"] = namespace
    return documents


def find(overlay: str, kind: str) -> Document:
    (found,) = (document for document in render(K8S / "overlays" / overlay) if document["kind"] == kind)
    return found


def ray_job(overlay: str) -> Document:
    """The manifest that the CronJob's container sees."""
    return yaml.safe_load(find(overlay, "ConfigMap")["data"]["ray-job.yaml"])


def pod_templates(cluster_spec: Document) -> list[Document]:
    groups = [cluster_spec["headGroupSpec"], *cluster_spec["workerGroupSpecs"]]
    return [group["template"] for group in groups]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_built_in_kind_fits_the_schema_of_kubernetes(overlay: str) -> None:
    kinds = []
    for document in render(K8S / "overlays" / overlay):
        if not document["apiVersion"].startswith("ray.io/"):
            kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)
            kinds.append(document["kind"])
    assert sorted(kinds) == ["ConfigMap", "CronJob", "Role", "RoleBinding", "ServiceAccount", "ServiceAccount"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_of_the_ray_clusters_fits_the_schema_of_kubernetes(overlay: str) -> None:
    templates = list(pod_templates(find(overlay, "RayCluster")["spec"]))
    assert len(templates) >= 2  # the head's and the workers'
    for template in templates:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": template["spec"]}
        kubernetes_validate.validate(pod, KUBERNETES_VERSION, strict=True)
        misspelt = {**pod, "spec": {**pod["spec"], "containerz": []}}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(misspelt, KUBERNETES_VERSION, strict=True)


@pytest.mark.skipif(not CRDS.is_dir(), reason="KubeRay's CRDs are not there: ../shared/kuberay-crds")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_ray_clusters_and_ray_jobs_fit_the_schemas_of_kuberay(overlay: str) -> None:
    for document, crd in (
        (find(overlay, "RayCluster"), "ray.io_rayclusters.yaml"),
        (ray_job(overlay), "ray.io_rayjobs.yaml"),
    ):
        validator = kuberay_validator(CRDS / crd, document["apiVersion"])
        assert [error.message for error in validator.iter_errors(document)] == []
        misspelt = copy.deepcopy(document)
        misspelt["spec"]["shutdownAfterJobFinish"] = True
        assert len(list(validator.iter_errors(misspelt))) == 1


@functools.cache
def kuberay_validator(path: Path, api_version: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(strict(crd_schema(path, api_version)))


def crd_schema(path: Path, api_version: str) -> Document:
    (definition,) = load(path)
    (version,) = (v for v in definition["spec"]["versions"] if v["name"] == api_version.rpartition("/")[2])
    return version["schema"]["openAPIV3Schema"]


def strict(schema: Any) -> Any:
    """The schema with unknown fields refused, as the API server's strict validation does."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if schema.get("type") == "object" and "properties" in schema and not open_ended:
        made["additionalProperties"] = False
    return made


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_ray_job_runs_on_the_very_cluster_that_the_overlay_describes(overlay: str) -> None:
    assert ray_job(overlay)["spec"]["rayClusterSpec"] == find(overlay, "RayCluster")["spec"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_night_one_ray_job_of_a_new_name_is_created_with_no_more_rights_than_that(overlay: str) -> None:
    cron_job = find(overlay, "CronJob")["spec"]
    assert cron_job["concurrencyPolicy"] == "Forbid"
    pod = cron_job["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"] == ["create", "--filename=/ray-job/ray-job.yaml"]
    (config_map,) = (volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume)
    assert config_map == find(overlay, "ConfigMap")["metadata"]["name"]
    metadata = ray_job(overlay)["metadata"]
    assert "name" not in metadata
    assert metadata["generateName"] == "ds2ray-adapt-users-"
    binding = find(overlay, "RoleBinding")
    assert [subject["name"] for subject in binding["subjects"]] == [pod["serviceAccountName"]]
    assert binding["roleRef"]["name"] == find(overlay, "Role")["metadata"]["name"]
    assert find(overlay, "Role")["rules"] == [{"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create"]}]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_cluster_asks_for_a_token_and_holds_no_secret(overlay: str) -> None:
    spec = find(overlay, "RayCluster")["spec"]
    assert spec["authOptions"]["mode"] == "token"
    for template in pod_templates(spec):
        (container,) = template["spec"]["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "ds2ray-s3", "optional": True}}]
        assert {variable["name"] for variable in container["env"]} == {
            "DS2RAY_STORAGE_ROOT",
            "RAY_JOB_STOP_WAIT_TIME_S",
        }
        assert template["spec"]["serviceAccountName"] in {
            document["metadata"]["name"]
            for document in render(K8S / "overlays" / overlay)
            if document["kind"] == "ServiceAccount"
        }


def test_the_clusters_run_the_locked_version_of_ray() -> None:
    (locked,) = re.findall(r"^ray\[?.*?==(\S+)", (PROJECT / "requirements.lock").read_text(), re.MULTILINE)
    assert {find(overlay, "RayCluster")["spec"]["rayVersion"] for overlay in OVERLAYS} == {locked}


def commands() -> list[str]:
    """Every command with a job in it, of every file in k8s/."""
    texts = [path.read_text() for path in sorted(K8S.rglob("*")) if path.suffix in (".yaml", ".md")]
    return [command for text in texts for command in re.findall(r"python jobs/\w+\.py [^`\n]+", text)]


def test_every_command_fits_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = commands()
    assert sum("jobs/adapt_users.py users=s3://" in command for command in found) == 3
    (storage_root,) = {
        variable["value"]
        for overlay in OVERLAYS
        for template in pod_templates(find(overlay, "RayCluster")["spec"])
        for variable in template["spec"]["containers"][0]["env"]
        if variable["name"] == "DS2RAY_STORAGE_ROOT"
    }
    monkeypatch.setenv("DS2RAY_STORAGE_ROOT", storage_root)
    for command in found:
        _, script, *overrides = shlex.split(command)
        job: Any = compose_job(Path(script).stem, overrides)
        assert job.storage.root == storage_root
