"""What stands out in training data, with what to do about it.

The thresholds are this project's own judgement of what is worth a look; none of it keeps a training from its start.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ds2ray.training.data_report.report import TIGHT, DataReport
from ds2ray.training.data_report.sound import NARROW, Sample
from ds2ray.training.data_report.spread import LEAST_CORRELATION, VARIED

FEW_HOURS = 1.0
RARE = 10
"""A character that is written fewer times than this is hardly learnt."""
MIN_CORRELATED = 50
"""Utterances from which on their lengths tell anything."""
MANY = 0.01
"""A share of the utterances that deserves a remark."""
MUCH_SILENCE = 0.5
MANY_SAME_TEXTS = 0.5
QUIET_DBFS = -45.0


@dataclass(frozen=True)
class Remark:
    """What stands out, and what to do about it."""

    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.text}: {self.remedy}"


def remarks(report: DataReport) -> list[Remark]:
    """All that stands out, what harms most first."""
    return [Remark(*each) for find in (_belonging, _repeated, _rows, _characters, _sound) for each in find(report)]


def in_short(report: DataReport) -> str:
    """The report as a line for a log."""
    train, sample = report.train, report.sample
    told = [f"{train.words} words, {train.different_words} different"]
    if train.duration_s and train.tokens_per_s:
        told.append(f"{train.duration_s.low:.1f} to {train.duration_s.high:.1f} s long (5 to 95 %)")
        told.append(f"{train.tokens_per_s.median:.1f} characters a second")
    if sample and sample.silence_share and sample.bandwidth_hz:
        silence, bandwidth = sample.silence_share.median, sample.bandwidth_hz.median / 1000
        told.append(f"in a sample of {sample.asked} {silence:.0%} silence and {bandwidth:.1f} kHz of bandwidth")
    return ", ".join(told)


def _belonging(report: DataReport) -> Iterator[tuple[str, str]]:
    measured = report.train.utterances - report.train.unmeasured
    lengths = report.train.text_tokens
    varied = lengths is not None and lengths.high >= VARIED * lengths.low
    if measured >= MIN_CORRELATED and varied and report.length_correlation < LEAST_CORRELATION:
        yield (
            f"longer audio has no longer texts (rank correlation {report.length_correlation:.2f}), so that most texts "
            "are not those of their audio",
            "listen to a few utterances and read their rows: were the columns sorted apart, or rows moved by one?",
        )
    if report.num_odd_rates:
        yield (
            f"{_of(report.num_odd_rates, report.train.utterances)} have far more or fewer characters a second than "
            "the others",
            "listen to those in the table below: is the text that of the audio, and all of it?",
        )
    if report.num_tight > MANY * report.train.utterances:
        yield (
            f"the texts of {_of(report.num_tight, report.train.utterances)} need more than {TIGHT:.0%} of the frames "
            "that their audio has",
            "look whether texts and audio belong together, and whether speech was sped up; such texts are learnt badly",
        )


def _repeated(report: DataReport) -> Iterator[tuple[str, str]]:
    found, train, valid = report.repeated, report.train.utterances, report.valid.utterances
    if found.valid_audio:
        yield (
            f"{_of(found.valid_audio, valid)} of the validation data are in the training data, too, so that its "
            "errors say little",
            "take them out of one of the two",
        )
    elif valid and found.valid_text > MANY_SAME_TEXTS * valid:
        yield (
            f"the texts of {_of(found.valid_text, valid)} of the validation data are in the training data, too",
            "expect more errors in other sentences than validation tells",
        )
    if found.same_audio:
        yield (
            f"{_of(found.same_audio, train)} have the audio of an earlier one",
            "take them out, unless they are meant to count twice",
        )
    if found.same_text_and_length > MANY * train:
        yield (
            f"{_of(found.same_text_and_length, train)} have text and length of an earlier one, and are most likely "
            "the same recordings under other names",
            "compare two of them, and take copies out",
        )


def _rows(report: DataReport) -> Iterator[tuple[str, str]]:
    rows = report.rows_left_out + report.train.utterances + report.valid.utterances
    if report.rows_left_out > MANY * rows:
        yield f"{_of(report.rows_left_out, rows, 'rows')} are left out", "see the causes below"
    if report.num_odd_lengths:
        yield (
            f"{_of(report.num_odd_lengths, report.train.utterances)} are far longer or shorter than the others",
            "listen to those in the table below; data.max_duration_s and data.min_duration_s leave them out",
        )
    if report.train.unmeasured:
        yield (
            f"the length of {_of(report.train.unmeasured, report.train.utterances)} is not known",
            "data.probe_audio=all opens and measures all audio",
        )
    if report.train.hours < FEW_HOURS:
        yield (
            f"{report.train.hours:.2f} h are little for a base",
            "expect it to know these speakers and sentences alone, or start from a trained one: "
            "train.pretrained_model_path=…",
        )


def _characters(report: DataReport) -> Iterator[tuple[str, str]]:
    rare = [token for token, count in report.characters.items() if 0 < count < RARE]
    unseen = [token for token, count in report.characters.items() if not count and token != " "]
    if rare:
        yield (
            f"{len(rare)} of {len(report.characters)} characters are written fewer than {RARE} times: {_some(rare)}",
            "are they mistakes, or spelt otherwise elsewhere? text.strip_punctuation leaves out marks",
        )
    if unseen:
        yield (
            f"{len(unseen)} of {len(report.characters)} characters of the vocabulary are never written: "
            f"{_some(unseen)}",
            "is it the vocabulary of these texts?",
        )


def _sound(report: DataReport) -> Iterator[tuple[str, str]]:
    sample = report.sample
    if sample is None or not sample.asked:
        return
    if sample.unreadable:
        yield (
            f"{_of(sample.unreadable, sample.asked)} of the sample cannot be decoded",
            "training leaves such utterances out and names them; data.probe_audio=all tells most of them before",
        )
    if sample.silent:
        yield f"{_of(sample.silent, sample.asked)} of the sample are silent", "listen to some; was the microphone off?"
    if not sample.heard:
        return
    yield from _way_of_recording(sample)


def _way_of_recording(sample: Sample) -> Iterator[tuple[str, str]]:
    if sample.silence_share and sample.silence_share.median > MUCH_SILENCE:
        yield (
            f"half of the sample's utterances are silent for more than {sample.silence_share.median:.0%} of their time",
            "cut it off, and epochs are shorter by as much",
        )
    if sample.narrow > MANY * sample.heard:
        yield (
            f"{_of(sample.narrow, sample.heard)} of the sample have nothing above "
            f"{NARROW * sample.sample_rate_hz / 2000:g} kHz: telephones, or encoders that leave it out",
            "keep train.augment.telephone_share above 0, so that the base hears both alike",
        )
    if sample.clipped > MANY * sample.heard:
        yield (
            f"{_of(sample.clipped, sample.heard)} of the sample are clipped",
            "record with a lower gain; train.augment.clip_share makes a base bear it",
        )
    if sample.level_dbfs and sample.level_dbfs.median < QUIET_DBFS:
        yield (
            f"speech is quiet, {-sample.level_dbfs.median:.0f} dB below full scale in its loud parts",
            "record with a higher gain, where 16 bits are all there is",
        )


def _of(count: int, total: int, things: str = "utterances") -> str:
    return f"{count} of {total} {things} ({count / max(1, total):.1%})"


def _some(tokens: list[str], most: int = 20) -> str:
    shown = " ".join(repr(token) for token in tokens[:most])
    return f"{shown} …" if len(tokens) > most else shown
