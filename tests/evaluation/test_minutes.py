"""Minutes of speech by user, out of a users table."""

from pathlib import Path

import pytest
from fleet_runs import RandomBase

from ds2ray.config import DataConfig
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.evaluation.minutes import minutes_of_speech
from ds2ray.tables.users import read_users


def minutes(uri: str, base: RandomBase) -> dict[str, float]:
    return minutes_of_speech(uri, DataConfig(), base.base.model.shape, base.base.vocabulary)


def test_speech_is_measured_where_the_table_does_not_say(small_corpus: DemoCorpus, random_base: RandomBase) -> None:
    found = minutes(small_corpus.users_csv, random_base)
    assert tuple(found) == small_corpus.user_ids
    users, _ = read_users(small_corpus.users_csv, DataConfig())
    for user in users:
        assert found[user.user_id] == pytest.approx(sum(u.duration_s or 0 for u in user.utterances) / 60)


def test_sealed_rows_are_believed(tmp_path: Path, random_base: RandomBase) -> None:
    table = tmp_path / "users.csv"
    table.write_text(
        "user_id,manifest,version,speech_s,num_utterances\nann,none.csv,v1,90,30\nbob,none.csv,v1,0,0\n",
    )
    assert minutes(str(table), random_base) == {"ann": 1.5}
