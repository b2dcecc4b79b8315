"""The figures of the report on training data."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from toy_speech import AUDIO, VOCABULARY

from ds2ray.shapes.shape import Shape
from ds2ray.tables.manifest import Utterance
from ds2ray.text import min_ctc_frames
from ds2ray.training.base.sources import TrainingData
from ds2ray.training.data_report.report import MOST_EXAMPLES, report_on


def test_it_counts_what_there_is(sound_data: TrainingData, shape: Shape) -> None:
    report = report_on(sound_data, shape, 0)
    texts = [utterance.transcript for utterance in sound_data.train]
    assert (report.train.utterances, report.valid.utterances) == (52, 8)
    assert report.train.hours == pytest.approx(sum(u.duration_s or 0 for u in sound_data.train) / 3600)
    assert report.train.words == sum(len(text.split()) for text in texts)
    assert report.train.different_words == len({word for text in texts for word in text.split()})
    assert report.characters == {token: "".join(texts).count(token) for token in VOCABULARY.tokens[1:]}
    assert report.train.duration_s is not None
    assert report.train.duration_s.highest == max(u.duration_s or 0 for u in sound_data.train)
    assert report.train.speakers == 0
    assert report.sample is None
    assert report.length_correlation > 0.9


def test_it_finds_all_that_is_odd(odd_data: TrainingData, shape: Shape) -> None:
    report = report_on(odd_data, shape, 100)
    assert report.train.speakers == 1
    assert [example.name for example in report.odd_lengths] == ["utterance pause"]
    assert {"utterance <b>squeezed</b>", "utterance pause"} <= {example.name for example in report.odd_rates}
    (tight,) = report.tight
    frames = shape.encoding_frames(round(0.6 * AUDIO.sample_rate_hz))
    assert tight.frames_share == pytest.approx(min_ctc_frames(VOCABULARY.encode("abcd" * 12)) / frames)
    assert (report.rows_left_out, report.left_out) == (1, {"transcript too long for its audio": 1})
    assert report.notes == ("utterances mixed to mono: 3",)
    assert (report.repeated.same_audio, report.repeated.same_text_and_length) == (2, 3)
    assert report.repeated.valid_audio == 1
    assert report.repeated.most[0][1] >= 2
    sample = report.sample
    assert sample is not None
    # the one that is damaged and the one whose file is not there
    assert (sample.asked, sample.unreadable, sample.silent, sample.clipped) == (57, 2, 1, 1)


def test_texts_of_other_audio_have_no_correlation(sound_data: TrainingData, shape: Shape) -> None:
    texts = [utterance.transcript for utterance in sound_data.train]
    moved = [
        replace(utterance, transcript=text)
        for utterance, text in zip(sound_data.train, [*texts[7:], *texts[:7]], strict=True)
    ]
    assert abs(report_on(replace(sound_data, train=moved), shape, 0).length_correlation) < 0.3


def test_lengths_that_are_not_known_are_counted_and_in_no_figure(sound_data: TrainingData, shape: Shape) -> None:
    unknown = [replace(utterance, duration_s=None) for utterance in sound_data.train]
    report = report_on(replace(sound_data, train=unknown), shape, 0)
    assert (report.train.unmeasured, report.train.hours, report.train.duration_s) == (52, 0.0, None)
    assert report.repeated.same_text_and_length == 0
    assert math.isnan(report.length_correlation)


def test_one_utterance_is_enough(sound_data: TrainingData, shape: Shape) -> None:
    report = report_on(replace(sound_data, train=sound_data.train[:1], valid=sound_data.valid[:1]), shape, 5)
    assert report.train.duration_s is not None
    assert len(report.train.duration_s.bins) == 1
    assert report.sample is not None
    assert report.sample.asked == 1


def test_parts_of_a_recording_are_no_copies_of_each_other(sound_data: TrainingData, shape: Shape) -> None:
    parts = [
        Utterance(f"{start}", "", f"long.wav#t={start},{start + 1}", 1.0, "a b c", start + 2) for start in range(5)
    ]
    assert report_on(replace(sound_data, train=parts), shape, 0).repeated.same_text_and_length == 0


def test_of_very_many_some_are_examples(speech: list[Utterance], shape: Shape, tmp_path: Path) -> None:
    tight = [replace(speech[0], utterance_id=str(i), transcript="abcd" * 20) for i in range(MOST_EXAMPLES + 5)]
    report = report_on(TrainingData(VOCABULARY, tight, speech[:1], []), shape, 0)
    assert (len(report.tight), report.num_tight) == (MOST_EXAMPLES, MOST_EXAMPLES + 5)


def test_with_a_salt_nobody_is_named(odd_data: TrainingData, shape: Shape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DS2RAY_USER_KEY_SALT", "pepper")
    report = report_on(odd_data, shape, 0)
    examples = [*report.tight, *report.odd_lengths, *report.odd_rates]
    assert {example.name.partition(" ")[0] for example in examples} == {"line"}
    assert {example.text for example in examples} == {""}
