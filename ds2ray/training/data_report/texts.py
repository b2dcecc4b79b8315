"""The transcripts of training data: how often each token is written, and what is written more than once."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary, min_ctc_frames, normalise
from ds2ray.uris import excerpt_of


@dataclass(frozen=True)
class Texts:
    """What is written in the transcripts of some utterances.

    Attributes:
        normalised: the transcripts as they are learnt, one per utterance.
        num_tokens: of each utterance, without characters that the vocabulary lacks.
        num_frames: frames that CTC needs at least, of each utterance.
        counts: occurrences of each token of the vocabulary, in its order, without the blank.
    """

    normalised: tuple[str, ...]
    num_tokens: tuple[int, ...]
    num_frames: tuple[int, ...]
    counts: dict[str, int]

    @property
    def num_words(self) -> int:
        """Words of all transcripts."""
        return sum(len(text.split()) for text in self.normalised)

    @property
    def num_different_words(self) -> int:
        """Words of all transcripts, each once."""
        return len({word for text in self.normalised for word in text.split()})


def read_texts(utterances: Sequence[Utterance], vocabulary: Vocabulary) -> Texts:
    """The transcripts of utterances, as the vocabulary writes them."""
    counts: Counter[int] = Counter()
    num_tokens, num_frames, normalised = [], [], []
    for utterance in utterances:
        token_ids = vocabulary.encode_known(utterance.transcript)
        counts.update(token_ids)
        num_tokens.append(len(token_ids))
        num_frames.append(min_ctc_frames(token_ids))
        normalised.append(normalise(utterance.transcript, vocabulary.config))
    by_token = {token: counts[number] for number, token in enumerate(vocabulary.tokens) if number}
    return Texts(tuple(normalised), tuple(num_tokens), tuple(num_frames), by_token)


@dataclass(frozen=True)
class Repeated:
    """What stands more than once in training data.

    Attributes:
        same_audio: utterances whose audio is that of an earlier one.
        same_text_and_length: utterances with the text, of `FEW_WORDS` words or more, and, to the millisecond, the
            length of an earlier one, whose audio has another name: most likely the same recording again.
        same_text: utterances whose text is that of an earlier one.
        most: the texts that stand there most often, with their numbers.
        valid_audio: validation utterances whose audio stands in the training data, too.
        valid_text: validation utterances whose text stands in the training data, too.
    """

    same_audio: int
    same_text_and_length: int
    same_text: int
    most: tuple[tuple[str, int], ...]
    valid_audio: int
    valid_text: int


MOST_TEXTS = 10
FEW_WORDS = 3
"""Of shorter texts many recordings are of one length by chance: of 1800 spoken digits 388 were."""


def find_repeated(
    train: Sequence[Utterance], valid: Sequence[Utterance], train_texts: Texts, valid_texts: Texts
) -> Repeated:
    """What stands in the training data more than once, and in the validation data, too."""
    audio: set[str | bytes] = set()
    recordings: set[tuple[str, int]] = set()
    same_audio = same_recording = 0
    for utterance, text in zip(train, train_texts.normalised, strict=True):
        # two parts of one recording may be of the same length and hold the same word
        part = isinstance(utterance.audio, str) and excerpt_of(utterance.audio) is not None
        recording = (text, round(1000 * (utterance.duration_s or 0.0)))
        if utterance.audio in audio:
            same_audio += 1
        elif recording in recordings and recording[1] and not part and len(text.split()) >= FEW_WORDS:
            same_recording += 1
        audio.add(utterance.audio)
        recordings.add(recording)
    texts = Counter(train_texts.normalised)
    return Repeated(
        same_audio=same_audio,
        same_text_and_length=same_recording,
        same_text=len(train) - len(texts),
        most=tuple((text, count) for text, count in texts.most_common(MOST_TEXTS) if count > 1),
        valid_audio=sum(utterance.audio in audio for utterance in valid),
        valid_text=sum(text in texts for text in valid_texts.normalised),
    )
