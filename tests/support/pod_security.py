"""Kubernetes' Pod Security Standard `restricted`, as far as our pods could break it.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from typing import Any

_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def breaches(pod: dict[str, Any]) -> list[str]:
    """What the spec of a pod breaks; empty where Kubernetes would admit it."""
    found = [name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    found += [f"volume {v['name']}" for v in pod.get("volumes", []) if not v.keys() - {"name"} <= _VOLUMES]
    of_pod = pod.get("securityContext", {})
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        own, name = container.get("securityContext", {}), container["name"]
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            found.append(f"{name}: privileges")
        if own.get("runAsNonRoot", of_pod.get("runAsNonRoot")) is not True:
            found.append(f"{name}: root")
        if 0 in (own.get("runAsUser"), of_pod.get("runAsUser")):
            found.append(f"{name}: user 0")
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
            found.append(f"{name}: capabilities")
        profile = own.get("seccompProfile", of_pod.get("seccompProfile", {}))
        if profile.get("type") not in ("RuntimeDefault", "Localhost"):
            found.append(f"{name}: seccomp")
        if any("hostPort" in port for port in container.get("ports", [])):
            found.append(f"{name}: port of the host")
    return found
