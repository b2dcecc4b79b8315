"""Policies of S3 as IAM reads them: Allow statements with actions and resources, in which * stands for anything."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

POLICIES = Path(__file__).parents[2] / "k8s" / "policies"

_ARN = "arn:aws:s3:::"
_ELEMENTS = {"Sid", "Effect", "Action", "Resource"}


@dataclass(frozen=True)
class Access:
    """What a request asks for: `s3:GetObject` of `bucket/key`, or `s3:ListBucket` of `bucket`."""

    action: str
    place: str


def access_of(request: str) -> Access:
    """What IAM asks a policy about for a request, `PUT /bucket/key?query`. Raises ValueError where nobody knows."""
    method, _, target = request.partition(" ")
    path, _, query = target.partition("?")
    place, asked = unquote(path).strip("/"), parse_qs(query, keep_blank_values=True)
    if "/" not in place:
        if place and method in ("GET", "HEAD"):
            return Access("s3:ListBucket", place)
    elif method in ("GET", "HEAD"):
        return Access("s3:GetObject", place)
    elif method == "PUT" or (method == "POST" and asked.keys() & {"uploads", "uploadId"}):
        return Access("s3:PutObject", place)
    elif method == "DELETE":
        return Access("s3:AbortMultipartUpload" if "uploadId" in asked else "s3:DeleteObject", place)
    raise ValueError(f"{request}: nobody knows which action that is")


def policy_of(role: str, bucket: str = "fleet") -> dict[str, Any]:
    """A role's policy in k8s/policies for a bucket of this name. Raises ValueError for more than Allow."""
    path = POLICIES / f"{role}.json"
    text = path.read_text(encoding="utf-8").replace(f"{_ARN}my-bucket", _ARN + bucket)
    policy: dict[str, Any] = json.loads(text)
    for statement in policy["Statement"]:
        if statement.keys() - _ELEMENTS or statement["Effect"] != "Allow":
            raise ValueError(f"{path}: {statement}: only Allow with Action and Resource is known here")
    return policy


def allows(policy: Mapping[str, Any], access: Access) -> bool:
    """Whether a statement allows it."""
    return any(
        any(_fits(action, access.action) for action in statement["Action"])
        and any(_fits(resource, _ARN + access.place) for resource in statement["Resource"])
        for statement in policy["Statement"]
    )


def _fits(pattern: str, text: str) -> bool:
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), text, re.DOTALL) is not None
