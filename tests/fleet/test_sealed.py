"""Sealed users' manifests are read where they are trained; what is wrong with one is a matter of that user alone."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from benchmarks.fleets.counted import REQUESTS
from ds2ray import storage
from ds2ray.config import AudioConfig, BadRows, DataConfig, ModelConfig, TextConfig
from ds2ray.errors import StorageError
from ds2ray.fleet.plan import Change, UserPlan
from ds2ray.fleet.sealed import open_sealed
from ds2ray.shapes.architectures import shape_of
from ds2ray.sound.audio import read_waveform
from ds2ray.storage import Server
from ds2ray.store.outcomes import Outcome, Status
from ds2ray.tables.manifest import Utterance, write_manifest
from ds2ray.tables.users_table import UserRow
from ds2ray.text import Vocabulary

VOCABULARY = Vocabulary.from_transcripts(["one two"], TextConfig())
UNREAD = UserPlan(
    user_id="ann",
    user_key="ann",
    utterances=(),
    num_utterances=9,
    speech_s=9.0,
    num_dropped=0,
    reasons={},
    fingerprint="f",
    change=Change.new,
)


def sealed(user_id: str, manifest_uri: str) -> UserPlan:
    row = UserRow(user_id, manifest_uri, 3, "/fleet/users.parquet")
    return replace(UNREAD, user_id=user_id, user_key=user_id, row=row)


def speech(transcript: str = "one", user_id: str = "", seconds: float = 0.5) -> Utterance:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(int(16000 * seconds)), 16000, format="FLAC")
    return Utterance("", user_id, buffer.getvalue(), None, transcript, 0)


def packed(folder: str, user_id: str, utterances: list[Utterance]) -> UserPlan:
    uri = storage.join(folder, f"{user_id}.parquet")
    write_manifest(uri, utterances)
    return sealed(user_id, uri)


def opened(users: list[UserPlan], **data: Any) -> tuple[list[UserPlan], list[Outcome]]:
    return open_sealed(
        users, data=DataConfig(**data), shape=shape_of(ModelConfig(), AudioConfig()), vocabulary=VOCABULARY
    )


def test_what_can_be_used_is_used_and_the_rest_is_counted(tmp_path: Path) -> None:
    silent = replace(speech(), audio=b"")
    ann = packed(str(tmp_path), "ann", [speech("one"), silent, speech("öne"), silent, speech("two", "bob")])
    bob = packed(str(tmp_path), "bob", [speech("two")])
    other = replace(UNREAD, user_id="cy", user_key="cy", utterances=(speech(),))
    users, failed = opened([bob, other, ann])
    assert failed == []
    assert users[1] is other
    assert [(u.user_key, [x.transcript for x in u.utterances], u.num_utterances) for u in (users[0], users[2])] == [
        ("bob", ["two"], 1),
        ("ann", ["one"], 1),
    ]
    assert users[2].utterances[0].duration_s == 0.5
    assert (users[2].num_dropped, users[0].num_dropped) == (4, 0)
    assert users[2].reasons == {
        "audio holds no bytes": 2,
        "transcript the vocabulary lacks 'ö'": 1,
        "user_id the utterance is another user's": 1,
    }


def test_a_manifest_that_cannot_be_read_fails_its_user_alone(tmp_path: Path) -> None:
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 no more than this")
    (tmp_path / "other.csv").write_text("place,said\n")
    names = {"gone": "gone.parquet", "torn": "torn.parquet", "other": "other.csv"}
    broken = [sealed(user_id, str(tmp_path / name)) for user_id, name in names.items()]
    ann = packed(str(tmp_path), "ann", [speech()])
    users, failed = opened([*broken, ann])
    assert [user.user_key for user in users] == ["ann"]
    assert [(row.user_key, row.status, row.utterances_used) for row in failed] == [
        (user_id, Status.failed, 0) for user_id in names
    ]
    uri = tmp_path / "gone.parquet"
    assert failed[0].reason == (
        f"its manifest cannot be read: {uri}: there is no such file; write it again, or correct the users table"
    )
    assert "torn.parquet: not a readable Parquet table" in failed[1].reason
    assert "the table has no column audio or transcript" in failed[2].reason


def test_speech_with_faults_is_refused_where_that_is_configured(tmp_path: Path) -> None:
    ann = packed(str(tmp_path), "ann", [speech(), replace(speech(), audio=b"")])
    bob = packed(str(tmp_path), "bob", [speech()])
    users, failed = opened([ann, bob], bad_audio=BadRows.refuse)
    assert [user.user_key for user in users] == ["bob"]
    assert (failed[0].user_key, failed[0].utterances_dropped) == ("ann", 1)
    assert failed[0].reason == (
        "data.bad_audio=refuse, and there are utterances that cannot be used: 1 × audio holds no bytes"
    )


def test_a_bucket_that_is_not_there_is_the_fault_of_the_rows_that_name_it(s3_root: str) -> None:
    lost = [sealed(user_id, f"s3://no-such-bucket-here/{user_id}.parquet") for user_id in ("bob", "cy")]
    for others in ([], [packed(s3_root, "ann", [speech()])]):
        with storage.using(Server.here()):
            users, failed = opened([*lost, *others])
        assert [user.user_key for user in users] == [user.user_key for user in others]
        assert ["no such bucket" in row.reason for row in failed] == [True, True]


def test_a_server_that_does_not_answer_ends_the_run_where_the_store_lies_on_it() -> None:
    bob = sealed("bob", "s3://any/bob.parquet")
    dead = Server("http://127.0.0.1:9", "")
    with storage.using(dead):
        users, failed = opened([bob])
    assert (users, failed[0].reason.partition(", ")[0]) == (
        [],
        "its manifest cannot be read: s3://any/bob.parquet: cannot be reached",
    )
    with storage.using(replace(dead, holds_store=True)), pytest.raises(StorageError, match="cannot read"):
        opened([bob])


def test_a_packed_user_is_one_request(tmp_path: Path) -> None:
    names = [f"user-{number}" for number in range(12)]
    users = [packed(f"counted://{tmp_path}", name, [speech("one"), speech("two")]) for name in names]
    REQUESTS.clear()
    found, failed = opened(users, allowed_schemes=["counted"])
    assert failed == []
    utterances = [utterance for user in found for utterance in user.utterances]
    assert [len(read_waveform(utterance.audio, 16000)) for utterance in utterances] == [8000] * 24
    assert dict(REQUESTS) == {"GET": 12}


def test_nobody_is_sealed() -> None:
    assert opened([UNREAD]) == ([UNREAD], [])
    assert opened([]) == ([], [])
