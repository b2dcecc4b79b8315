"""Recognition with the speaker's own adapter: rows of different users in one batch.

Shapes: B utterances, T encoding frames of the longest, D width of the encodings, V size of the vocabulary.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from ds2ray.batching.batches import ahead, batches_by_seconds, prefetched
from ds2ray.config import DecodeConfig, TranscribeJob, Vad, require
from ds2ray.config.jobs import require_segment_s
from ds2ray.decoding.calibration import Calibration
from ds2ray.decoding.decoder import Decoded, Decoder, name_of
from ds2ray.decoding.greedy import Greedy
from ds2ray.errors import InputError
from ds2ray.metrics import Score, score_texts
from ds2ray.model.adapters.rows import RowAdapter, RowAdapters
from ds2ray.model.stored import MODEL_FILE_SUFFIX, open_base
from ds2ray.model.weights import Base
from ds2ray.progress import TellDone, TellSeconds, untold_done, untold_seconds
from ds2ray.recognition.decoders import open_decoder
from ds2ray.recognition.hypothesis import Heard, Hypothesis, joined
from ds2ray.recognition.listening import Part, Reached, windows
from ds2ray.recognition.own_words import WordsOfUsers, hears_words, why_unheard
from ds2ray.recognition.speakers import MAX_OPEN, KeyOf, Speaker, Speakers
from ds2ray.sound.audio import probe
from ds2ray.sound.segments import SegmentRules
from ds2ray.store import Store, read_calibrations, stored_key, user_key
from ds2ray.store.records import known_fields
from ds2ray.tables.manifest import Utterance
from ds2ray.text import normalise

WINDOW_S = 600.0
"""Seconds of speech that are read before they are sorted into batches: 38 MB at 16 kHz."""


@dataclass
class Transcriber:
    """A base and the adapters of the users that it has met.

    ```python
    Transcriber.open("./store").transcribe(["hello.wav"], user="john")
    ```

    Attributes:
        store: in which users' adapters are looked for.
        batch_s: seconds of padded audio per batch.
        max_open: users whose adapters are kept in memory.
        vad: whether only speech is recognised, in segments, or every file as a whole.
        max_segment_s: no segment is longer.
        decoder: finds the tokens in what the base makes of the audio.
        fresh_s: seconds after which it is looked whether a user has a newer adapter.
        calibrations: by the names of decoders, how sure their words are; without one, confidence is what the base makes
            of it.
        key_of: the key of a user in the store; by default it is made here, once it is sure that the store's keys are
            made with the same salt.
    """

    store: Store
    base: Base
    device: torch.device
    batch_s: float = TranscribeJob.batch_s
    max_open: int = MAX_OPEN
    vad: Vad | str = TranscribeJob.vad
    max_segment_s: float = TranscribeJob.max_segment_s
    decoder: Decoder = Greedy()
    fresh_s: float = TranscribeJob.fresh_s
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    key_of: KeyOf = user_key

    def __post_init__(self) -> None:
        require(self.max_open >= 1, "max_open", self.max_open, "at least 1")
        self.base.model.eval()  # a base that has just been trained draws units to leave out
        key_of = partial(stored_key, self.store) if self.key_of is user_key else self.key_of
        self.speakers = Speakers(self.store, self.base, self.max_open, self.fresh_s, key_of)
        self.row_adapters = RowAdapters()
        self.own_words = WordsOfUsers(self.store, self.base.vocabulary, self.max_open, self.fresh_s, key_of)
        if not isinstance(self.vad, Vad):
            choices = [choice.value for choice in Vad]
            require(self.vad in choices, "vad", self.vad, " or ".join(choices))
            self.vad = Vad(self.vad)
        require_segment_s(self.max_segment_s)

    @classmethod
    def open(
        cls,
        store: Store | str,
        base: str = "",
        device: torch.device | str | None = None,
        batch_s: float = TranscribeJob.batch_s,
        max_open: int = MAX_OPEN,
        vad: Vad | str = TranscribeJob.vad,
        max_segment_s: float = TranscribeJob.max_segment_s,
        decoder: Decoder | DecodeConfig = Greedy(),
        fresh_s: float = TranscribeJob.fresh_s,
    ) -> "Transcriber":
        """Open a store's newest base, or another one by id or URI.

        Args:
            store: or its root, on the server that this process's environment names.
            device: None: a GPU where there is one.
            batch_s: seconds of padded audio per batch.
            max_open: users whose adapters are kept in memory.
            vad: whether only speech is recognised, in segments, or every file as a whole.
            max_segment_s: no segment is longer.
            decoder: finds the tokens in what the base makes of the audio; or the settings that name one.
            fresh_s: seconds after which it is looked whether a user has a newer adapter.

        Raises:
            InputError: there is no such base, or it has not the language model that is wanted.
            ConfigError: segments cannot be as long as that, or there is no such choice of `vad`.
            ArtifactCorruptError: the base, its language model or its calibration is damaged.
        """
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        opened = Store(store) if isinstance(store, str) else store
        found = open_base(opened, base, chosen)
        folder_uri = base.rstrip("/") if "/" in base and not base.endswith(MODEL_FILE_SUFFIX) else ""
        if isinstance(decoder, DecodeConfig):
            decoder = open_decoder(decoder, found.vocabulary, opened, found.base_id, folder_uri)
        maps = read_calibrations(opened, found.base_id, folder_uri)
        calibrations = {name: Calibration(**known_fields(Calibration, numbers)) for name, numbers in maps.items()}
        return cls(opened, found, chosen, batch_s, max_open, vad, max_segment_s, decoder, fresh_s, calibrations)

    @property
    def calibration(self) -> Calibration | None:
        """The calibration of the decoder; None where it has none, and confidence is what the base makes of it."""
        return self.calibrations.get(name_of(self.decoder))

    def transcribe(
        self,
        paths: Sequence[str],
        user: str = "",
        tell: TellDone = untold_done,
        tell_s: TellSeconds = untold_seconds,
    ) -> list[Hypothesis]:
        """Recognise audio files of any length, in their order, with the user's adapter where there is one.

        Long ones are cut at pauses; times are those of the whole file. A file in which nobody speaks has an empty text,
        and one that cannot be read a hypothesis that says why.

        Args:
            tell: told after each window how many files are done, of how many.
            tell_s: told after each batch how many seconds of audio are, of how many.
        """
        utterances = [
            Utterance(utterance_id=path, user_id=user, audio=path, duration_s=_duration_s(path), transcript="", line=n)
            for n, path in enumerate(paths, start=1)
        ]
        return self.transcribe_utterances(utterances, tell=tell, tell_s=tell_s)

    def transcribe_utterances(
        self,
        utterances: Sequence[Utterance],
        use_adapters: bool = True,
        tell: TellDone = untold_done,
        tell_s: TellSeconds = untold_seconds,
    ) -> list[Hypothesis]:
        """Recognise utterances of any users, in their order; with `use_adapters=False` by the base alone."""
        rules = None if self.vad is Vad.off else SegmentRules(max_s=self.max_segment_s)
        users = [utterance.user_id if use_adapters else "" for utterance in utterances]
        results: list[Hypothesis | None] = [None] * len(utterances)
        heard: defaultdict[int, list[Heard]] = defaultdict(list)
        done, done_s = 0, 0.0
        reached = Reached(utterances, self.base.audio.sample_rate_hz)
        for window in ahead(windows(utterances, self.base.audio.sample_rate_hz, rules, WINDOW_S)):
            tell(done, len(utterances))
            from_s, done_s = done_s, reached.after(window)

            def tell_share(share: float, from_s: float = from_s, to_s: float = done_s) -> None:
                tell_s(from_s + share * (to_s - from_s), reached.total_s)

            for part, row in zip(window.parts, self._recognise_parts(window.parts, users, tell_share), strict=True):
                heard[part.index].append(row)
            for end in window.ends:
                of_it = heard.pop(end.index, [])
                result = self._hypothesis(utterances[end.index], users[end.index], of_it, end.problem)
                results[end.index] = replace(result, note="; ".join(filter(None, (result.note, end.note))))
            done += len(window.ends)
        return [result for result in results if result is not None]

    def score(self, transcripts: Sequence[str], hypotheses: Sequence[Hypothesis]) -> Score:
        """Errors of hypotheses against transcripts, normalised as the base was trained."""
        references = [normalise(transcript, self.base.vocabulary.config) for transcript in transcripts]
        return score_texts(references, [hypothesis.text for hypothesis in hypotheses])

    def _recognise_parts(
        self, parts: Sequence[Part], users: Sequence[str], tell_share: Callable[[float], None]
    ) -> list[Heard]:
        """The hypothesis of each part; parts of like length share a batch, whichever utterances they are of.

        Args:
            tell_share: told after each batch which share of the parts' speech is done.
        """
        results: dict[int, Heard] = {}
        rate_hz, frame_s = self.base.audio.sample_rate_hz, self.base.model.shape.frame_s
        confidence = self.calibration or math.exp
        durations_s = [len(part.segment.waveform) / rate_hz for part in parts]

        def with_speakers(batch: list[int]) -> tuple[list[int], dict[str, Speaker]]:
            return batch, self.speakers.find_all(users[parts[number].index] for number in batch)

        for batch, speaker_of in prefetched(batches_by_seconds(durations_s, self.batch_s), with_speakers):
            speakers = [users[parts[number].index] for number in batch]
            decoder, notes = self._with_words(speakers)
            decoded = self._recognise(
                [parts[number].segment.waveform for number in batch], speakers, speaker_of, decoder
            )
            for number, row, user in zip(batch, decoded, speakers, strict=True):
                start_s, speaker = parts[number].segment.start_s, speaker_of[user]
                heard = Heard.of(row, self.base.vocabulary, frame_s, start_s, durations_s[number], confidence)
                note = "; ".join(filter(None, (speaker.note, notes.get(user, ""))))
                results[number] = replace(heard, adapter=speaker.version, note=note)
            tell_share(sum(durations_s[number] for number in results) / sum(durations_s))
        return [results[number] for number in range(len(parts))]

    def _with_words(self, speakers: Sequence[str]) -> tuple[Decoder, dict[str, str]]:
        """The decoder of a batch whose rows are of these speakers, and notes on the own words of some of them."""
        if not hears_words(self.decoder):
            return self.decoder, dict.fromkeys(self.own_words.who_has_some(speakers), why_unheard(self.decoder))
        found = self.own_words.find_many(speakers)
        decoder = self.decoder.hearing([found[user].tree for user in speakers], self.base.vocabulary)
        return decoder, {user: vocal.note for user, vocal in found.items()}

    @torch.no_grad()
    def _recognise(
        self,
        waveforms: Sequence[np.ndarray],
        users: Sequence[str],
        speaker_of: Mapping[str, Speaker],
        decoder: Decoder,
    ) -> list[Decoded]:
        num_samples = torch.tensor([len(waveform) for waveform in waveforms], device=self.device)
        tensors = [torch.from_numpy(np.ascontiguousarray(waveform)) for waveform in waveforms]
        padded = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True).to(self.device)
        adapters = []
        for user in sorted(speaker_of):
            speaker = speaker_of[user]
            if speaker.adapter is not None:
                rows = torch.tensor([row for row, other in enumerate(users) if other == user], device=self.device)
                adapters.append(RowAdapter(speaker.adapter, speaker.after_layer, rows))
        features, lengths = self.base.model.features(padded, num_samples)
        return decoder.decode(*self.base.model.forward_rows(features, lengths, adapters, self.row_adapters))

    def _hypothesis(self, utterance: Utterance, user: str, heard: Sequence[Heard], problem: str) -> Hypothesis:
        if problem:
            return Hypothesis(utterance.utterance_id, utterance.user_id, "", error=problem)
        if heard:
            return joined(utterance, heard)
        speaker = self.speakers.find(user)
        return Hypothesis(utterance.utterance_id, utterance.user_id, "", adapter=speaker.version, note=speaker.note)


def _duration_s(path: str) -> float:
    """0 where the header cannot be read: reading the samples then says why."""
    try:
        return probe(path).duration_s
    except (FileNotFoundError, InputError):
        return 0.0
