"""Errors and speed of decoders: greedy, beam search, and beam search with a language model.

Each set is a store with a base and users' adapters, a manifest of test utterances, and texts that a language model is
made of, which takes the place of the one beside the base; by default they are those of `make demo`. In percent,
`wer[set][decoder]` and `cer` are errors `{base, adapter}`; `speed` is seconds of audio that a second of one processor
decodes, without the acoustic model. `perplexity` is that of the test transcripts, and `unknown` the share of their
words that the texts do not hold. `confidence_error` is the expected calibration error of words, by the calibration
beside the base or, for a decoder that has none there, not in `calibrated`, as the base gives them. Bars, in
`falls_short`: the language model takes 40 % of the adapters' word errors, and a calibrated decoder's confidence with
adapters is wrong by at most 5 %.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass

from torch import Tensor

from benchmarks.common import emit, say
from ds2ray.commands import language_model
from ds2ray.config import DecodeConfig, DecoderKind, LanguageModelJob, StorageConfig, TranscribeJob
from ds2ray.config.text import OF_THE_BASE
from ds2ray.decoding.decoder import Decoded, Decoder, name_of
from ds2ray.decoding.language.language_model import Perplexity
from ds2ray.recognition.calibrating import confidence_error
from ds2ray.recognition.decoders import open_decoder, open_language_model
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.tables.manifest import Utterance, read_manifest
from ds2ray.text import normalise

DECODERS = {
    "greedy": DecodeConfig(),
    "beam": DecodeConfig(decoder=DecoderKind.beam),
    "lm": DecodeConfig(decoder=DecoderKind.beam, language_model=OF_THE_BASE),
}
DEMO = ("demo", "demo-data/store", "demo-data/corpus/test.csv", "demo-data/corpus/train.csv")
SIDES = ("base", "adapter")
OTHERS = ("perplexity", "unknown", "confidence_error", "calibrated")
MOST_CONFIDENCE_ERROR = 5.0
"""Percent."""
LEAST_GAIN = 0.4
"""Share of the adapters' word errors that a language model takes."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        *("--set", "-s"), nargs=4, action="append", metavar=("NAME", "STORE", "MANIFEST", "TEXTS"), dest="sets"
    )
    parser.add_argument("--vad", default=TranscribeJob.vad.value, help="off: every file is recognised as a whole")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    fields: dict[str, dict[str, object]] = {name: {} for name in ("wer", "cer", "speed", *OTHERS)}
    missed = []
    for name, root, manifest, texts in args.sets or [DEMO]:
        with redirect_stdout(sys.stderr):  # stdout is for the result alone
            language_model.run(LanguageModelJob(texts=[texts], storage=StorageConfig(root=root)))
        found = Compared.of(Transcriber.open(root, vad=args.vad), read_manifest(manifest).utterances)
        for field in fields:
            fields[field][name] = getattr(found, field)
        if found.wer["lm"]["adapter"] > (1 - LEAST_GAIN) * found.wer["greedy"]["adapter"]:
            missed.append(f"{name}: the language model's gain")
        for decoder in found.calibrated:
            if found.confidence_error[decoder]["adapter"] > MOST_CONFIDENCE_ERROR:
                missed.append(f"{name}: confidence of {decoder}")
    emit("decode", {**fields, "falls_short": missed}, args.save)


@dataclass(frozen=True)
class Compared:
    """The decoders on one set."""

    wer: dict[str, dict[str, float]]
    cer: dict[str, dict[str, float]]
    speed: dict[str, dict[str, float]]
    perplexity: float
    unknown: float
    confidence_error: dict[str, dict[str, float]]
    calibrated: list[str]

    @classmethod
    def of(cls, transcriber: Transcriber, utterances: Sequence[Utterance]) -> "Compared":
        """Recognise the utterances by each decoder, by the base alone and with their users' adapters."""
        base, store = transcriber.base, transcriber.store
        seconds = sum(utterance.duration_s or 0.0 for utterance in utterances)
        transcripts = [utterance.transcript for utterance in utterances]
        wer: dict[str, dict[str, float]] = {name: {} for name in DECODERS}
        cer: dict[str, dict[str, float]] = {name: {} for name in DECODERS}
        speed: dict[str, dict[str, float]] = {name: {} for name in DECODERS}
        doubt: dict[str, dict[str, float]] = {name: {} for name in DECODERS}
        for name, settings in DECODERS.items():
            for side in SIDES:
                timed = Timed(open_decoder(settings, base.vocabulary, store, base.base_id))
                transcriber.decoder = timed
                heard = transcriber.transcribe_utterances(utterances, use_adapters=side == "adapter")
                score = transcriber.score(transcripts, heard)
                wer[name][side], cer[name][side] = 100 * score.words.rate(), 100 * score.characters.rate()
                speed[name][side] = seconds / max(timed.seconds, 1e-9)
                doubt[name][side] = 100 * confidence_error(transcriber, transcripts, heard)
                say(f"{name}, {side}: WER {wer[name][side]:.2f} %, {speed[name][side]:.0f} s a second")
        of_text = perplexity(transcriber, transcripts)
        unknown = of_text.num_unknown / max(1, of_text.num_unknown + of_text.num_predicted)
        calibrated = [name for name in DECODERS if name in transcriber.calibrations]
        return cls(wer, cer, speed, of_text.value, unknown, doubt, calibrated)


def perplexity(transcriber: Transcriber, transcripts: Sequence[str]) -> Perplexity:
    """That of transcripts by the language model beside the base."""
    base = transcriber.base
    model, _ = open_language_model(OF_THE_BASE, transcriber.store, base.base_id)
    return model.perplexity(normalise(transcript, base.vocabulary.config).split() for transcript in transcripts)


class Timed:
    """A decoder that counts the processor's time that another one takes."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder, self.name, self.seconds = decoder, name_of(decoder), 0.0

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[Decoded]:
        """What the other one hears."""
        started_s = time.process_time()
        decoded = self.decoder.decode(log_probs, lengths)
        self.seconds += time.process_time() - started_s
        return decoded


if __name__ == "__main__":
    main()
