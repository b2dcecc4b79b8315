"""What stands out, and what does not."""

from dataclasses import replace

import pytest

from ds2ray.shapes.shape import Shape
from ds2ray.training.base.sources import TrainingData
from ds2ray.training.data_report.remarks import remarks
from ds2ray.training.data_report.report import DataReport, report_on
from ds2ray.training.data_report.spread import Spread


@pytest.fixture
def sound(sound_data: TrainingData, shape: Shape) -> DataReport:
    """The report on data in order."""
    report = report_on(sound_data, shape, 20)
    # toy sentences are few, so that they come again
    repeated = replace(report.repeated, valid_text=0, same_text_and_length=0)
    assert report.sample is not None
    sample = replace(report.sample, narrow=0)  # they are tones
    return replace(report, train=replace(report.train, hours=20.0), repeated=repeated, sample=sample)


def test_nothing_stands_out_of_data_in_order(sound: DataReport) -> None:
    assert remarks(sound) == []


def test_everything_odd_is_told_with_a_remedy(odd_data: TrainingData, shape: Shape) -> None:
    said = [str(remark) for remark in remarks(report_on(odd_data, shape, 100))]
    for part in (
        "far more or fewer characters a second",
        "need more than 80% of the frames",
        "1 of 11 utterances (9.1%) of the validation data are in the training data, too",
        "2 of 57 utterances (3.5%) have the audio of an earlier one: take them out",
        "have text and length of an earlier one",
        "1 of 69 rows (1.4%) are left out",
        "far longer or shorter than the others",
        "h are little for a base",
        "2 of 57 utterances (3.5%) of the sample cannot be decoded",
        "of the sample are silent",
        "of the sample are clipped",
    ):
        assert sum(part in line for line in said) == 1, (part, said)


def test_exchanged_texts_are_the_first_remark(sound: DataReport) -> None:
    first = remarks(replace(sound, length_correlation=0.1))[0]
    assert "most texts are not those of their audio" in first.text
    few = replace(sound.train, utterances=20)
    single_words = replace(sound.train, text_tokens=Spread.of([3, 4, 5]))
    for train in (few, single_words):
        assert remarks(replace(sound, length_correlation=0.1, train=train)) == []


def test_rare_and_missing_characters_are_named(sound: DataReport) -> None:
    said = [remark.text for remark in remarks(replace(sound, characters={"a": 100, "é": 3, "Q": 0}))]
    assert said == [
        "1 of 3 characters are written fewer than 10 times: 'é'",
        "1 of 3 characters of the vocabulary are never written: 'Q'",
    ]


def test_a_way_of_recording_is_told(sound: DataReport) -> None:
    assert sound.sample is not None
    sample = replace(
        sound.sample, silence_share=Spread.of([0.7]), level_dbfs=Spread.of([-60.0]), narrow=20, bandwidth_hz=None
    )
    said = [remark.text for remark in remarks(replace(sound, sample=sample))]
    assert len(said) == 3
    assert "silent for more than 70%" in said[0]
    assert "have nothing above 5.2 kHz" in said[1]
    assert "60 dB below full scale" in said[2]


def test_a_sample_that_cannot_be_decoded_is_one_remark(sound: DataReport) -> None:
    assert sound.sample is not None
    sample = replace(sound.sample, unreadable=20, silence_share=None, bandwidth_hz=None, level_dbfs=None)
    (only,) = remarks(replace(sound, sample=sample))
    assert only.text == "20 of 20 utterances (100.0%) of the sample cannot be decoded"
