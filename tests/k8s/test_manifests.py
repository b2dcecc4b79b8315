"""The Kubernetes manifests fit the schemas of Kubernetes and KubeRay, their pods are admitted where nothing is allowed
that is not needed, and their commands fit conf/."""

import copy
import functools
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kustomize import Document, load, render
from pod_security import breaches

from ds2ray.commandline.composing import compose_job
from ds2ray.kubernetes.nightly import Night, ray_job_of

PROJECT = Path(__file__).parents[2]
K8S = PROJECT / "k8s"
CRDS = PROJECT.parent / "shared" / "kuberay-crds"
OVERLAYS = sorted(folder.name for folder in (K8S / "overlays").iterdir())
ON_GPUS = [overlay for overlay in OVERLAYS if overlay != "kind"]
KUBERNETES_VERSION = "1.34"
OTHERS_KINDS = {"RayCluster", "RayJob", "LocalQueue"}
"""Kinds that are not Kubernetes' own."""

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@functools.cache
def rendered(overlay: str) -> list[Document]:
    return render(K8S / "overlays" / overlay)


def find(overlay: str, kind: str, name: str = "") -> Document:
    (found,) = (d for d in rendered(overlay) if d["kind"] == kind and name in ("", d["metadata"]["name"]))
    return found


def pod_templates(overlay: str) -> dict[str, Document]:
    """The template of every pod that will exist, by what it is."""
    ray_job, cluster = find(overlay, "RayJob")["spec"], find(overlay, "RayCluster")["spec"]
    templates = {
        "nightly": find(overlay, "CronJob")["spec"]["jobTemplate"]["spec"]["template"],
        "submitter": ray_job["submitterPodTemplate"],
    }
    for of_what, spec in (("run", ray_job["rayClusterSpec"]), ("standing", cluster)):
        templates[f"head of {of_what}"] = spec["headGroupSpec"]["template"]
        for group in spec["workerGroupSpecs"]:
            templates[f"{group['groupName']} of {of_what}"] = group["template"]
    return templates


@pytest.fixture(scope="module")
def kustomize() -> Callable[[Path], str]:
    """kustomize as it is installed, as a program or inside kubectl."""
    for program, *arguments in (("kustomize", "build"), ("kubectl", "kustomize")):
        if path := shutil.which(program):
            command = [path, *arguments]
            return lambda folder: subprocess.run([*command, folder], check=True, capture_output=True, text=True).stdout
    pytest.skip("neither kustomize nor kubectl is installed")


@pytest.mark.process
@every_overlay
def test_kustomize_makes_the_same_of_it(kustomize: Callable[[Path], str], overlay: str) -> None:
    made = [d for d in yaml.load_all(kustomize(K8S / "overlays" / overlay), Loader=yaml.CSafeLoader) if d]

    def order(document: Document) -> tuple[str, str]:
        return document["kind"], document["metadata"]["name"]

    assert sorted(made, key=order) == sorted(rendered(overlay), key=order)


@every_overlay
def test_every_built_in_kind_fits_the_schema_of_kubernetes(overlay: str) -> None:
    kinds = set()
    for document in rendered(overlay):
        if document["kind"] not in OTHERS_KINDS:
            kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)
            kinds.add(document["kind"])
    assert {"Namespace", "ServiceAccount", "Role", "ConfigMap", "CronJob", "NetworkPolicy"} < kinds


@every_overlay
def test_every_pod_fits_the_schema_of_kubernetes_and_is_admitted_as_restricted(overlay: str) -> None:
    assert find(overlay, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for what, template in pod_templates(overlay).items():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": template["spec"]}
        kubernetes_validate.validate(pod, KUBERNETES_VERSION, strict=True)
        misspelt = {**pod, "spec": {**pod["spec"], "containerz": []}}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(misspelt, KUBERNETES_VERSION, strict=True)
        assert breaches(template["spec"]) == [], what
        assert all(c["securityContext"]["readOnlyRootFilesystem"] for c in template["spec"]["containers"]), what
        assert all({"requests", "limits"} <= c["resources"].keys() for c in template["spec"]["containers"]), what


@every_overlay
def test_the_container_that_kuberay_adds_is_admitted_too(overlay: str) -> None:
    spec = find(overlay, "RayJob")["spec"]["rayClusterSpec"]
    assert spec["enableInTreeAutoscaling"] is True
    options = spec["autoscalerOptions"]
    head = copy.deepcopy(spec["headGroupSpec"]["template"]["spec"])
    head["containers"].append({"name": "autoscaler", "securityContext": options["securityContext"]})
    assert breaches(head) == []
    assert {mount["name"] for mount in options["volumeMounts"]} <= {volume["name"] for volume in head["volumes"]}


def test_a_breach_is_seen() -> None:
    pod = copy.deepcopy(pod_templates("kind")["submitter"]["spec"])
    pod["securityContext"] = {}
    pod["containers"][0]["securityContext"] = {"privileged": True}
    pod["volumes"].append({"name": "host", "hostPath": {"path": "/"}})
    name = pod["containers"][0]["name"]
    assert breaches(pod) == [
        "volume host",
        *(f"{name}: {what}" for what in ("privileges", "root", "capabilities", "seccomp")),
    ]


@pytest.mark.skipif(not CRDS.is_dir(), reason="KubeRay's CRDs are not there: ../shared/kuberay-crds")
@every_overlay
def test_ray_clusters_and_ray_jobs_fit_the_schemas_of_kuberay(overlay: str) -> None:
    template = find(overlay, "RayJob")
    for document, crd in (
        (find(overlay, "RayCluster"), "ray.io_rayclusters.yaml"),
        (template, "ray.io_rayjobs.yaml"),
        (ray_job_of(template, Night("night", "uid", "template", "queue"), 1), "ray.io_rayjobs.yaml"),
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


@every_overlay
def test_the_standing_cluster_is_that_of_a_run(overlay: str) -> None:
    assert find(overlay, "RayCluster")["spec"] == find(overlay, "RayJob")["spec"]["rayClusterSpec"]


@pytest.mark.parametrize("overlay", ON_GPUS)
def test_no_gpu_is_held_while_nothing_runs(overlay: str) -> None:
    for group in find(overlay, "RayCluster")["spec"]["workerGroupSpecs"]:
        assert (group["replicas"], group["minReplicas"]) == (0, 0)
        assert group["maxReplicas"] == int(find(overlay, "ConfigMap")["data"]["MAX_WORKERS"])
        assert group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1


@every_overlay
def test_the_template_of_a_night_starts_nothing_itself_and_a_failed_night_is_tried_by_the_cron_job_alone(
    overlay: str,
) -> None:
    template = find(overlay, "RayJob")
    assert template["spec"]["suspend"] is True
    assert template["spec"]["backoffLimit"] == 0
    assert "kueue.x-k8s.io/queue-name" not in template["metadata"]["labels"]
    job = find(overlay, "CronJob")["spec"]["jobTemplate"]["spec"]
    container = job["template"]["spec"]["containers"][0]
    assert container["command"][-1] == f"--template={template['metadata']['name']}"
    final, ignored = job["podFailurePolicy"]["rules"]
    assert (final["action"], final["onExitCodes"]["values"]) == ("FailJob", [1, 2, 3, 6])
    assert final["onExitCodes"]["containerName"] == container["name"]
    assert (ignored["action"], ignored["onPodConditions"]) == (
        "Ignore",
        [{"type": "DisruptionTarget", "status": "True"}],
    )
    assert job["activeDeadlineSeconds"] > template["spec"]["activeDeadlineSeconds"]


@every_overlay
def test_the_watcher_may_do_what_it_does_and_no_more(overlay: str) -> None:
    pod = find(overlay, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    binding = find(overlay, "RoleBinding")
    assert [subject["name"] for subject in binding["subjects"]] == [pod["serviceAccountName"]]
    assert binding["roleRef"]["name"] == find(overlay, "Role")["metadata"]["name"]
    assert find(overlay, "Role")["rules"] == [
        {"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "get", "list"]},
        {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]},
    ]
    templates = pod_templates(overlay)
    with_token = {what for what, t in templates.items() if t["spec"].get("automountServiceAccountToken") is not False}
    assert with_token == {"nightly", "head of run", "head of standing"}


@every_overlay
def test_nobody_speaks_with_anybody_who_is_not_named(overlay: str) -> None:
    policies = {d["metadata"]["name"]: d["spec"] for d in rendered(overlay) if d["kind"] == "NetworkPolicy"}
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    components = {
        what: t["metadata"]["labels"]["app.kubernetes.io/component"] for what, t in pod_templates(overlay).items()
    }
    assert set(components.values()) == {"nightly", "submitter", "ray"}
    for name, component in (("ray", "ray"), ("submitter", "submitter")):
        assert policies[name]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == component
    (outside,) = policies["https"]["egress"]
    assert policies["https"]["podSelector"]["matchExpressions"][0]["values"] == ["ray", "nightly"]
    assert outside["to"] == [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}]
    own_server = find(overlay, "ConfigMap")["data"].get("AWS_ENDPOINT_URL", "")
    allowed = {port["port"] for port in outside["ports"]}
    assert allowed == ({443, 6443, 9000} if own_server.endswith(":9000") else {443, 6443})


@every_overlay
def test_everything_of_the_user_stands_in_one_file(overlay: str) -> None:
    settings = find(overlay, "ConfigMap")["data"]
    (of_file,) = load(K8S / "overlays" / overlay / "settings.yaml")
    assert of_file["data"] == settings
    for what, template in pod_templates(overlay).items():
        for container in template["spec"]["containers"]:
            assert container["image"] == settings["IMAGE"], what
            assert {"configMapRef": {"name": "ds2ray-settings"}} in container["envFrom"], what
            assert not any("value" in v and "KEY" in v["name"] for v in container["env"]), what
    cron_job = find(overlay, "CronJob")["spec"]
    assert (cron_job["schedule"], cron_job["timeZone"]) == (settings["SCHEDULE"], settings["TIME_ZONE"])
    if role := settings.get("ROLE_ARN"):
        account = find(overlay, "ServiceAccount", "ds2ray")
        assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": role}
    other_files = [p.read_text() for p in K8S.rglob("*.yaml") if p.name != "settings.yaml"]
    assert not any("my-bucket" in text or "@sha256" in text for text in other_files)


@every_overlay
def test_the_cluster_asks_for_a_token_and_holds_no_secret(overlay: str) -> None:
    spec = find(overlay, "RayCluster")["spec"]
    assert spec["authOptions"]["mode"] == "token"
    accounts = {d["metadata"]["name"] for d in rendered(overlay) if d["kind"] == "ServiceAccount"}
    for what, template in pod_templates(overlay).items():
        assert template["spec"]["serviceAccountName"] in accounts
        if " of " in what:
            (container,) = template["spec"]["containers"]
            assert {"secretRef": {"name": "ds2ray-s3", "optional": True}} in container["envFrom"]
            assert {variable["name"] for variable in container["env"]} == {"HOME", "RAY_JOB_STOP_WAIT_TIME_S"}


def test_the_clusters_run_the_locked_version_of_ray() -> None:
    (locked,) = re.findall(r"^ray\[?.*?==(\S+)", (PROJECT / "requirements.lock").read_text(), re.MULTILINE)
    assert {find(overlay, "RayCluster")["spec"]["rayVersion"] for overlay in OVERLAYS} == {locked}


def commands() -> list[str]:
    """Every command with a job in it, of every file in k8s/."""
    texts = [path.read_text() for path in sorted(K8S.rglob("*")) if path.suffix in (".yaml", ".md")]
    return [command for text in texts for command in re.findall(r"python jobs/\w+\.py [^`\n]+", text)]


def test_every_command_fits_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = commands()
    assert sum("jobs/adapt_users.py users=" in command for command in found) == 3
    settings = find("kind", "ConfigMap")["data"]
    monkeypatch.setenv("DS2RAY_STORAGE_ROOT", settings["DS2RAY_STORAGE_ROOT"])
    for command in found:
        _, script, *overrides = shlex.split(command.replace("$DS2RAY_USERS", settings["DS2RAY_USERS"]))
        job: Any = compose_job(Path(script).stem, overrides)
        assert job.storage.root == settings["DS2RAY_STORAGE_ROOT"]
        if Path(script).stem == "adapt_users":
            assert job.users == settings["DS2RAY_USERS"]
