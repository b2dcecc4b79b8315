"""Recognition with the speaker's own adapter: rows of different users in one batch.

Shapes: B utterances, T encoding frames of the longest, D width of the encodings, V size of the vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ds2ray.batching.batches import batches_by_seconds, prefetched
from ds2ray.config import TranscribeJob
from ds2ray.decoding.decoder import Decoded, Decoder
from ds2ray.decoding.greedy import Greedy
from ds2ray.errors import InputError
from ds2ray.metrics import Score, score_texts
from ds2ray.model.stored import open_base
from ds2ray.model.weights import Base
from ds2ray.progress import TellDone, untold_done
from ds2ray.recognition.hypothesis import Hypothesis, words_of
from ds2ray.recognition.speakers import MAX_OPEN, Speaker, Speakers
from ds2ray.sound.audio import probe, read_waveform
from ds2ray.store import Store
from ds2ray.tables.manifest import Utterance
from ds2ray.text import normalise


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
        decoder: finds the tokens in what the base makes of the audio.
    """

    store: Store
    base: Base
    device: torch.device
    batch_s: float = TranscribeJob.batch_s
    max_open: int = MAX_OPEN
    decoder: Decoder = Greedy()

    def __post_init__(self) -> None:
        self.speakers = Speakers(self.store, self.base, self.max_open)

    @classmethod
    def open(
        cls,
        store: Store | str,
        base: str = "",
        device: torch.device | str | None = None,
        batch_s: float = TranscribeJob.batch_s,
        max_open: int = MAX_OPEN,
        decoder: Decoder = Greedy(),
    ) -> "Transcriber":
        """Open a store's newest base, or another one by id or URI.

        Args:
            store: or its root, on the server that this process's environment names.
            device: None: a GPU where there is one.
            batch_s: seconds of padded audio per batch.
            max_open: users whose adapters are kept in memory.
            decoder: finds the tokens in what the base makes of the audio.

        Raises:
            InputError: there is no such base.
        """
        chosen = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        opened = Store(store) if isinstance(store, str) else store
        return cls(opened, open_base(opened, base, chosen), chosen, batch_s, max_open, decoder)

    def transcribe(self, paths: Sequence[str], user: str = "", tell: TellDone = untold_done) -> list[Hypothesis]:
        """Recognise audio files, in their order, with the user's adapter where there is one.

        A file that cannot be read gives a hypothesis that says why.

        Args:
            tell: told after each batch how many files are done, of how many.
        """
        utterances = [
            Utterance(utterance_id=path, user_id=user, audio=path, duration_s=_duration_s(path), transcript="", line=n)
            for n, path in enumerate(paths, start=1)
        ]
        return self.transcribe_utterances(utterances, tell=tell)

    def transcribe_utterances(
        self, utterances: Sequence[Utterance], use_adapters: bool = True, tell: TellDone = untold_done
    ) -> list[Hypothesis]:
        """Recognise utterances of any users, in their order; with `use_adapters=False` by the base alone."""
        results: list[Hypothesis | None] = [None] * len(utterances)
        batches = batches_by_seconds([utterance.duration_s or 0.0 for utterance in utterances], self.batch_s)

        def load(indices: list[int]) -> list[tuple[int, np.ndarray | str]]:
            return [(index, _read(utterances[index], self.base.audio.sample_rate_hz)) for index in indices]

        done = 0
        for loaded in prefetched(batches, load):
            tell(done, len(utterances))
            done += len(loaded)
            rows = [(index, waveform) for index, waveform in loaded if not isinstance(waveform, str)]
            for index, problem in loaded:
                if isinstance(problem, str):
                    utterance = utterances[index]
                    results[index] = Hypothesis(utterance.utterance_id, utterance.user_id, "", error=problem)
            if not rows:
                continue
            users = [utterances[index].user_id if use_adapters else "" for index, _ in rows]
            speaker_of = {user: self.speakers.find(user) for user in dict.fromkeys(users)}
            decoded = self._recognise([waveform for _, waveform in rows], users, speaker_of)
            for (index, _), row, user in zip(rows, decoded, users, strict=True):
                results[index] = self._hypothesis(utterances[index], row, speaker_of[user])
        return [result for result in results if result is not None]

    def score(self, transcripts: Sequence[str], hypotheses: Sequence[Hypothesis]) -> Score:
        """Errors of hypotheses against transcripts, normalised as the base was trained."""
        references = [normalise(transcript, self.base.vocabulary.config) for transcript in transcripts]
        return score_texts(references, [hypothesis.text for hypothesis in hypotheses])

    @torch.no_grad()
    def _recognise(
        self,
        waveforms: Sequence[np.ndarray],
        users: Sequence[str],
        speaker_of: Mapping[str, Speaker],
    ) -> list[Decoded]:
        num_samples = torch.tensor([len(waveform) for waveform in waveforms], device=self.device)
        tensors = [torch.from_numpy(np.ascontiguousarray(waveform)) for waveform in waveforms]
        padded = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True).to(self.device)
        adapters = []
        for user in sorted(speaker_of):
            speaker = speaker_of[user]
            if speaker.adapter is not None and speaker.pointer is not None:
                rows = torch.tensor([row for row, other in enumerate(users) if other == user], device=self.device)
                adapters.append((speaker.adapter, speaker.pointer.adapter["after_layer"], rows))
        features, lengths = self.base.model.features(padded, num_samples)
        return self.decoder.decode(*self.base.model.forward_rows(features, lengths, adapters))

    def _hypothesis(self, utterance: Utterance, row: Decoded, speaker: Speaker) -> Hypothesis:
        frame_s = self.base.model.shape.frame_s
        return Hypothesis(
            utterance_id=utterance.utterance_id,
            user_id=utterance.user_id,
            text=self.base.vocabulary.decode(row.token_ids),
            score=row.score,
            words=tuple(words_of(row, self.base.vocabulary, frame_s)),
            adapter=speaker.pointer.version if speaker.pointer else "",
            note=speaker.note,
        )


def _read(utterance: Utterance, sample_rate_hz: int) -> np.ndarray | str:
    try:
        return read_waveform(utterance.audio, sample_rate_hz)
    except FileNotFoundError:
        return "there is no such file"
    except InputError as error:
        return str(error)


def _duration_s(path: str) -> float:
    """0 where the header cannot be read: reading the samples then says why."""
    try:
        return probe(path).duration_s
    except (FileNotFoundError, InputError):
        return 0.0
