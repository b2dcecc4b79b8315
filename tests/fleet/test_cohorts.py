import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2ray.config import AdaptConfig, AudioConfig, ModelConfig
from ds2ray.errors import ConfigError
from ds2ray.fleet.cohorts import CohortSize, Room, cohort_size, pack_cohorts, speech_bytes_per_s
from ds2ray.model.deepspeech2 import DeepSpeech2
from ds2ray.shapes.architectures import shape_of

GIB = 2.0**30


class TestSize:
    @pytest.mark.parametrize(
        ("room", "max_users", "max_speech_s"),
        [
            (Room(trials=3), 64, 7200.0),
            (Room(trials=3, memory_bytes=64 * GIB), 64, 7200.0),  # a CPU gains nothing from more
            (Room(trials=3, memory_bytes=1 * GIB), 64, 0.5 * GIB / 160e3),
            (Room(trials=3, memory_bytes=0.1 * GIB), 64, 600.0),
            (Room(trials=3, gpus=True, memory_bytes=32 * GIB), 512, 16 * GIB / 160e3),
            (Room(trials=3, gpus=True), 512, math.inf),
        ],
    )
    def test_it_follows_processors_and_memory(self, room: Room, max_users: int, max_speech_s: float) -> None:
        assert cohort_size(AdaptConfig(), room, 160e3) == CohortSize(max_users, max_speech_s, 3)

    def test_settings_count_more(self) -> None:
        adapt = AdaptConfig(max_cohort_users=7, max_cohort_s=60.0, max_concurrent_trials=5)
        assert cohort_size(adapt, Room(3, True, 64 * GIB), 160e3) == CohortSize(7, 60.0, 5)

    @pytest.mark.parametrize("after_layer", [0, 1, 2, -1])
    @pytest.mark.parametrize("bidirectional", [True, False])
    @pytest.mark.parametrize("num_mels", [40, 41, 80])
    @pytest.mark.parametrize("further_share", [0.0, 0.5])
    def test_speech_takes_what_its_encodings_take(
        self, after_layer: int, bidirectional: bool, num_mels: int, further_share: float
    ) -> None:
        config = ModelConfig(conv_channels=4, num_rnn_layers=2, rnn_hidden_dim=24, bidirectional=bidirectional)
        audio = AudioConfig(num_mels=num_mels, sample_rate_hz=8000, hop_s=0.01)
        model = DeepSpeech2.from_config(config, num_mels, 10)
        # fifty frames of four bytes a value, twice as many of further recordings, and 8000 samples of two
        times = 3 if further_share and after_layer in (0, 1) else 1
        expected = times * 50 * 4 * model.encoding_dim(after_layer) + 16000
        adapt = AdaptConfig(further_share=further_share)
        assert speech_bytes_per_s(shape_of(config, audio), after_layer, adapt) == expected


def test_a_place_that_the_base_lacks_is_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="adapter.after_layer=9 is not possible: the base has 3 recurrent layers"):
        speech_bytes_per_s(shape_of(ModelConfig(), AudioConfig()), 9, AdaptConfig())


def test_cohorts_are_balanced() -> None:
    packed = pack_cohorts([1.0, 5.0, 2.0, 4.0, 3.0, 3.0], CohortSize(10, 100.0, 3))
    assert packed == [[1, 0], [3, 2], [4, 5]]


def test_cohorts_hold_so_many_users() -> None:
    assert pack_cohorts([1.0] * 5, CohortSize(2, 100.0, 1)) == [[0, 3], [1, 4], [2]]


def test_a_user_with_much_speech_is_alone() -> None:
    assert pack_cohorts([1.0, 50.0, 1.0], CohortSize(9, 10.0, 1))[0] == [1]


def test_no_users_no_cohorts() -> None:
    assert pack_cohorts([], CohortSize(2, 1.0, 4)) == []


SPEECH_S = st.lists(st.floats(0.0, 500.0), max_size=60)


@given(SPEECH_S, st.integers(1, 10), st.floats(0.1, 1000.0), st.integers(1, 8))
def test_every_user_is_in_one_cohort_and_no_cohort_too_big(
    speech_s: list[float], max_users: int, max_speech_s: float, min_cohorts: int
) -> None:
    packed = pack_cohorts(speech_s, CohortSize(max_users, max_speech_s, min_cohorts))
    assert sorted(user for cohort in packed for user in cohort) == list(range(len(speech_s)))
    assert all(1 <= len(cohort) <= max_users for cohort in packed)
    assert len(packed) >= min(min_cohorts, len(speech_s))
    loads = [math.fsum(speech_s[user] for user in cohort) for cohort in packed]
    assert loads == sorted(loads, reverse=True)
    for cohort, load_s in zip(packed, loads, strict=True):
        assert len(cohort) == 1 or load_s <= max_speech_s * (1 + 1e-9)
        assert [speech_s[user] for user in cohort] == sorted((speech_s[user] for user in cohort), reverse=True)


@given(SPEECH_S, st.integers(1, 8))
def test_without_limits_cohorts_differ_by_one_user_at_most(speech_s: list[float], min_cohorts: int) -> None:
    packed = pack_cohorts(speech_s, CohortSize(1000, 1e9, min_cohorts))
    assert len(packed) == min(min_cohorts, len(speech_s))
    loads = [math.fsum(speech_s[user] for user in cohort) for cohort in packed]
    for cohort, load_s in zip(packed, loads, strict=True):
        assert load_s - speech_s[cohort[-1]] <= min(loads) + 1e-6


def test_users_without_speech_leave_no_cohort_empty() -> None:
    packed = pack_cohorts([0.0, 0.0, 0.0], CohortSize(1000, 1e9, 2))
    assert sorted(map(len, packed)) == [1, 2]
