"""The few requests that a pod makes of the API server of its cluster, with the token of its service account."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter, Retry

from ds2ray.errors import ConfigError, InterruptedRunError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""The folder in which Kubernetes lays the account's token and the server's certificate."""

_RAY = "apis/ray.io/v1"
_TIMEOUT_S = (5, 60)  # to connect, and to wait for an answer


def _session() -> requests.Session:
    # creating is safe to repeat, as names are given: a server that comes back answers that there is one already
    retries = Retry(total=6, backoff_factor=1.0, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None)
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retries))
    session.trust_env = False  # a proxy for the world is none for the cluster's own server
    return session


@dataclass(frozen=True)
class KubernetesApi:
    """The API server, for the objects of one namespace.

    Attributes:
        url: of the server; every pod can reach it by the default.
        account: folder of the token, which Kubernetes renews, and of the server's certificate.
    """

    namespace: str
    url: str = "https://kubernetes.default.svc"
    account: Path = ACCOUNT
    session: requests.Session = field(default_factory=_session)

    def ray_job(self, name: str) -> dict[str, Any] | None:
        """A RayJob; None where there is none of this name."""
        answer = self._request("GET", f"{_RAY}/namespaces/{self.namespace}/rayjobs/{name}", may_be=(404,))
        return None if answer.status_code == 404 else answer.json()

    def create_ray_job(self, document: dict[str, Any]) -> None:
        """Create a RayJob; one of its name that is there already stays as it is."""
        self._request("POST", f"{_RAY}/namespaces/{self.namespace}/rayjobs", may_be=(409,), json=document)

    def pods_of_job(self, job_name: str) -> list[str]:
        """The names of a Job's pods, oldest first."""
        where = {"labelSelector": f"job-name={job_name}"}
        pods = self._request("GET", f"api/v1/namespaces/{self.namespace}/pods", params=where).json()["items"]
        ordered = sorted(pods, key=lambda pod: pod["metadata"].get("creationTimestamp", ""))
        return [pod["metadata"]["name"] for pod in ordered]

    def log_lines(self, pod: str, after: str = "") -> Iterator[tuple[str, str]]:
        """The lines of a pod's log with their times, those later than `after` alone; none where there is no log yet."""
        since = {"sinceTime": after.partition(".")[0].rstrip("Z") + "Z"} if after else {}
        path = f"api/v1/namespaces/{self.namespace}/pods/{pod}/log"
        answer = self._request("GET", path, may_be=(400, 404), params={"timestamps": "true", **since})
        for line in answer.text.splitlines() if answer.ok else ():
            time, _, text = line.partition(" ")
            if time > after:  # the server goes by whole seconds
                yield time, text

    def _request(self, method: str, path: str, may_be: tuple[int, ...] = (), **of_request: Any) -> requests.Response:
        """An answer of the server. Raises ConfigError where it refuses, InterruptedRunError where it cannot answer."""
        token, certificate = self.account / "token", self.account / "ca.crt"
        headers = {"Authorization": f"Bearer {token.read_text().strip()}"} if token.is_file() else {}
        verify: bool | str = str(certificate) if certificate.is_file() else True
        try:
            answer = self.session.request(
                method, f"{self.url}/{path}", headers=headers, verify=verify, timeout=_TIMEOUT_S, **of_request
            )
        except requests.RequestException as error:
            raise InterruptedRunError(f"{self.url}: the API server of Kubernetes does not answer: {error}") from error
        if not answer.ok and answer.status_code not in may_be:
            said = f"{method} {path}: {answer.status_code} {answer.reason}: {answer.text[:300]}"
            raise ConfigError(f"Kubernetes refuses: {said}; see the Role ds2ray-nightly and the RayJob's template")
        return answer
