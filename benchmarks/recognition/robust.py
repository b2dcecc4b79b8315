"""Errors of a base and of users' adapters on speech as it is recorded, and what is heard where nobody speaks.

The base alone recognises new sentences of the demo's ordinary voices, the adapters those of users with the demo's
accents; both as they are (`clean`) and as recordings have them: `pad_…` seconds of digital silence on each side,
`noise_…` seconds of noise 60 dB below full scale, two sentences `joined`, `long` recordings of ten minutes beside
`long_sentences`, the same sentences one by one and each as often, `narrowband` copies at 8 kHz, and `clipped` at four
times the peak.
`falls_short` names the bars that are missed. `encoding_speed` is that of the base's own features beside features
normalised over whole utterances, in turns on the same speech; the trunk is the same.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from benchmarks.adapting.ways import Task, publish
from benchmarks.common import CACHE, emit, say
from benchmarks.recognition.recorded import AROUND_S, CONDITIONS, long_recording, recorded, silent_clips
from benchmarks.speech import Speaker, base_corpus, digest, ordinary_speakers, speakers, trained_base
from ds2ray import storage
from ds2ray.config import AdaptConfig, AdapterConfig, Statistics
from ds2ray.fleet.fingerprints import settings_that_matter
from ds2ray.metrics import Score, score_texts
from ds2ray.model.stored import open_base, publish_base
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.sound.audio import read_waveform
from ds2ray.store import Store, list_bases
from ds2ray.tables.manifest import Utterance
from ds2ray.text import normalise
from ds2ray.training.adapters.cohort import adapt_cohort, results_of

SIDES = ("base", "adapter")
BARS: dict[str, tuple[str, float, float]] = {
    **{f"{kind}_{seconds:g}": ("clean", 1.2, 1.0) for kind in ("pad", "noise") for seconds in AROUND_S},
    "joined": ("clean", 1.3, 0.0),
    "long": ("long_sentences", 1.1, 0.0),
    "narrowband": ("clean", 2.0, 2.0),
    "clipped": ("clean", 2.0, 2.0),
}
"""By condition: at most so many times the errors of another one, and so many points."""

TIMED_ROWS, TIMED_TURNS = 32, 7


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="", help="a model.pt or a base folder; empty: the demo's, trained if need be")
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=1.3, help="of speech per user, for the adapter")
    parser.add_argument("--adapt-epochs", type=int, default=AdaptConfig.num_epochs)
    parser.add_argument("--test-sentences", type=int, default=75, help="per user, and per ordinary voice")
    parser.add_argument("--base-sentences", type=int, default=400, help="that the demo's base is trained on")
    parser.add_argument("--long-s", type=float, default=600.0, help="length of a long recording")
    parser.add_argument("--long-speakers", type=int, default=2, help="voices, and users, who have one")
    parser.add_argument("--quick", action="store_true", help="8 test sentences, long recordings of two minutes")
    parser.add_argument("--cache", default=CACHE, help="keeps speech, base and adapters between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    if args.quick:
        args.test_sentences, args.long_s = min(args.test_sentences, 8), min(args.long_s, 120.0)
    ordinary = base_corpus(args.cache, args.base_sentences, 40)
    base = storage.absolute(args.base) if args.base else trained_base(args.cache, ordinary)
    users = speakers(args.cache, args.users, args.minutes, args.test_sentences, ordinary)
    voices = ordinary_speakers(args.cache, args.test_sentences, ordinary)
    root = adapted(base, users, args.adapt_epochs, args.cache)
    transcriber = Transcriber.open(root)
    with tempfile.TemporaryDirectory() as folder:
        bench = Robust(transcriber, {"base": voices, "adapter": users}, folder)
        emit("robust", bench.compare(args.long_s, args.long_speakers), args.save)


def adapted(base_uri: str, users: Sequence[Speaker], num_epochs: int, cache: str) -> str:
    """The root of a store with the base and the users' adapters, trained unless they are there."""
    base = open_base(Store(storage.join(cache, "none")), base_uri)
    task = Task(base_uri, AdapterConfig(), AdaptConfig(num_epochs=num_epochs))
    said = repr([[(user.user_id, user.adapt) for user in users], settings_that_matter(task.adapter, task.adapt)])
    root = storage.absolute(storage.join(cache, f"robust-{base.base_id}-{digest(said)}"))
    if list_bases(Store(root)):
        return root
    cohort = {user.user_id: user.adapt for user in users}
    started_s = time.process_time()
    for result in results_of(adapt_cohort(base, cohort, task.adapter, task.adapt)):
        if result.fit is None:
            raise RuntimeError(f"{result.user_key} could not be trained: {result.reason}")
        say(f"{result.user_key}: {'published' if result.better else 'the base is better'}")
        if result.better:
            publish(root, base, result.user_key, result.fit, task)
    say(f"adapting took {time.process_time() - started_s:.0f} CPU seconds")
    publish_base(Store(root), base, "benchmark", {})
    return root


class Robust:
    """Recognition under all conditions, of each side's test sentences: those of ordinary voices by the base alone,
    those of users with their adapters."""

    def __init__(self, transcriber: Transcriber, speech: Mapping[str, Sequence[Speaker]], folder: str) -> None:
        self.transcriber, self.speech, self.folder = transcriber, speech, folder
        self.test = {side: [u for one in speech[side] for u in one.test] for side in SIDES}

    def compare(self, long_s: float, long_speakers: int) -> dict[str, object]:
        """All fields of the result."""
        wer: dict[str, dict[str, float]] = {}
        for condition in CONDITIONS:
            wer[condition.name] = {
                side: self.rate(recorded(self.test[side], condition, f"{self.folder}/{side}"), side) for side in SIDES
            }
            say(f"{condition.name}: " + ", ".join(f"{side} {wer[condition.name][side]:.1f} %" for side in SIDES))
        wer["long"], wer["long_sentences"] = {}, {}
        for side in SIDES:
            chosen = self.speech[side][:long_speakers]
            wer["long"][side], wer["long_sentences"][side] = self.rates_of_long(chosen, side, long_s)
        silent = silent_clips(self.folder)
        words = {"base": self.words_in(silent, [""]), "adapter": self.words_in(silent, self.user_ids())}
        return {
            "wer": wer,
            "words_in_silence": words,
            "falls_short": falls_short(wer, words),
            "test_words": {side: sum(len(u.transcript.split()) for u in self.test[side]) for side in SIDES},
            "encoding_speed": self.encoding_speed(),
            "statistics": self.transcriber.base.audio.statistics.value,
            "base": self.transcriber.base.base_id,
        }

    def user_ids(self) -> list[str]:
        return [speaker.user_id for speaker in self.speech["adapter"]]

    def rate(self, utterances: Sequence[Utterance], side: str) -> float:
        """WER in percent."""
        heard = self.transcriber.transcribe_utterances(utterances, use_adapters=side == "adapter")
        return 100 * self.transcriber.score([u.transcript for u in utterances], heard).words.rate()

    def rates_of_long(self, chosen: Sequence[Speaker], side: str, seconds: float) -> tuple[float, float]:
        """WER in percent of a long recording of each speaker, and of its sentences one by one."""
        whole, apart = Score(), Score()
        config = self.transcriber.base.vocabulary.config
        for speaker in chosen:
            uri = f"{self.folder}/long-{side}-{speaker.user_id}.wav"
            spoken = long_recording(speaker.test, seconds, uri)
            said = [normalise(utterance.transcript, config) for utterance in spoken]
            (heard,) = self.transcriber.transcribe([uri], user=speaker.user_id if side == "adapter" else "")
            whole += score_texts([" ".join(said)], [heard.text])
            by_itself = self.transcriber.transcribe_utterances(speaker.test, use_adapters=side == "adapter")
            text_of = {u.utterance_id: one.text for u, one in zip(speaker.test, by_itself, strict=True)}
            apart += score_texts(said, [text_of[u.utterance_id] for u in spoken])
        rates = 100 * whole.words.rate(), 100 * apart.words.rate()
        say(f"long: {side} {rates[0]:.2f} %, its sentences {rates[1]:.2f} %")
        return rates

    def words_in(self, clips: Sequence[str], user_ids: Sequence[str]) -> int:
        """Words that are heard in recordings without any, by all of these users' adapters together."""
        heard = [one for user in user_ids for one in self.transcriber.transcribe(clips, user=user)]
        return sum(len(hypothesis.text.split()) for hypothesis in heard)

    @torch.no_grad()
    def encoding_speed(self) -> float:
        """CPU seconds of encoding with features normalised over whole utterances, over those with the base's own."""
        base = self.transcriber.base
        own = base.model.shape
        whole = replace(own, audio=replace(base.audio, statistics=Statistics.utterance))
        waveforms = [torch.from_numpy(read_waveform(u.audio, base.audio.sample_rate_hz)) for u in self._timed()]
        num_samples = torch.tensor([len(waveform) for waveform in waveforms])
        padded = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for turn in range(2 * TIMED_TURNS):
            base.model.shape = own if turn % 2 else whole
            base.model.features(padded[:1], num_samples[:1])  # builds what the shape needs
            started_s = time.process_time()  # of this process, whatever else the machine does
            base.model.trunk(*base.model.features(padded, num_samples), after_layer=-1)
            seconds[bool(turn % 2)].append(time.process_time() - started_s)
        base.model.shape = own
        return min(seconds[False]) / min(seconds[True])

    def _timed(self) -> list[Utterance]:
        return sorted(self.test["base"], key=lambda u: u.duration_s or 0.0)[:TIMED_ROWS]


def falls_short(wer: Mapping[str, Mapping[str, float]], words: Mapping[str, int]) -> list[str]:
    """The bars that are missed, as `condition side`."""
    missed = [
        f"{name} {side}"
        for name, (other, times, points) in BARS.items()
        for side in SIDES
        if wer[name][side] > times * wer[other][side] + points
    ]
    return [*missed, *(f"words_in_silence {side}" for side in SIDES if words[side])]


if __name__ == "__main__":
    main()
