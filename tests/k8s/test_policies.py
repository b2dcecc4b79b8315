"""The policies of S3 for each role: what it may not do. tests/docs/test_runbook.py shows that it may do its work."""

import json

import pytest
from s3_policy import POLICIES, access_of, allows, policy_of

ROLES = sorted(path.stem for path in POLICIES.iterdir())
WRITES = (
    "PUT /fleet/ds2ray/users/john/current.json",
    "DELETE /fleet/ds2ray/users/john/current.json",
    "POST /fleet/ds2ray/users/john/a.safetensors?uploads",
    "PUT /fleet/ds2ray/bases/current.json",
    "PUT /fleet/ds2ray/index/lease.json",
)


def test_there_is_one_for_each_role() -> None:
    assert ROLES == ["adapter", "eraser", "packer", "reader", "trainer"]


@pytest.mark.parametrize("request_", WRITES)
def test_a_reader_may_write_nothing(request_: str) -> None:
    access = access_of(request_)
    assert allows(policy_of("eraser"), access)
    assert not allows(policy_of("reader"), access)


@pytest.mark.parametrize(
    ("role", "request_"),
    [
        ("trainer", "PUT /fleet/ds2ray/users/john/current.json"),
        ("trainer", "GET /fleet/recordings/users/john.parquet"),
        ("adapter", "PUT /fleet/ds2ray/bases/0123456789abcdef/model.safetensors"),
        ("adapter", "PUT /fleet/recordings/users.parquet"),
        ("adapter", "DELETE /fleet/ds2ray/bases/current.json"),
        ("packer", "GET /fleet/ds2ray/users/john/current.json"),
        ("packer", "PUT /fleet/ds2ray/index/erased.parquet"),
        ("reader", "GET /fleet/recordings/users/john.parquet"),
        ("eraser", "GET /fleet/ds2raybeside/x"),
    ],
)
def test_a_role_may_not_do_what_is_another_s(role: str, request_: str) -> None:
    assert not allows(policy_of(role), access_of(request_))


@pytest.mark.parametrize("role", ROLES)
def test_every_role_is_told_what_is_not_there_and_no_other_bucket(role: str) -> None:
    assert allows(policy_of(role), access_of("GET /fleet?list-type=2&prefix=ds2ray%2Fusers%2F"))
    assert not allows(policy_of(role), access_of("GET /fleet-of-others?list-type=2"))
    assert not allows(policy_of(role), access_of("GET /fleet-of-others/ds2ray/bases/current.json"))
    assert json.loads((POLICIES / f"{role}.json").read_text())["Version"] == "2012-10-17"


@pytest.mark.parametrize(
    ("request_", "action"),
    [
        ("HEAD /fleet/a%20b", "s3:GetObject of fleet/a b"),
        ("POST /fleet/a?uploads", "s3:PutObject of fleet/a"),
        ("PUT /fleet/a?partNumber=1&uploadId=x", "s3:PutObject of fleet/a"),
        ("DELETE /fleet/a?uploadId=x", "s3:AbortMultipartUpload of fleet/a"),
        ("DELETE /fleet/a", "s3:DeleteObject of fleet/a"),
    ],
)
def test_requests_are_known_by_their_actions(request_: str, action: str) -> None:
    access = access_of(request_)
    assert f"{access.action} of {access.place}" == action


@pytest.mark.parametrize("request_", ["GET /", "PUT /fleet", "POST /fleet?delete", "PATCH /fleet/a"])
def test_a_request_that_nobody_knows_is_refused(request_: str) -> None:
    with pytest.raises(ValueError, match="nobody knows"):
        access_of(request_)
