"""Errors and speed of decoders: greedy, beam search, and beam search with a language model, alone and with own words.

The sets are in `sets`: what `make demo` has made, digits and people of so762; or others, each a store
with a base and users' adapters, a manifest of test utterances, one of others, and texts that a language model is made
of, which takes the place of the one beside the base. The weight of the language model is `chosen`: of a few, the one
that suits the base best on the other sentences, without adapters. Nothing is chosen on what is reported.

In percent, `wer[set][decoder]` and `cer` are errors `{base, adapter}`; `speed` is seconds of audio that a second of
one processor decodes, without the acoustic model. For `lm_words` each user has 100 own words, on both sides: words of
the user's test sentences that the texts do not hold, and besides other users' such words and names.
`rare_recall[set]` is the share of the former that are heard with adapters, `{before, after}` there are own words, of
their `count`; none where the texts hold all. `perplexity` is that of the test transcripts, and `unknown` the share of
their words that the texts do not hold. `confidence_error` is the expected calibration error of words, by the
calibration beside the base or, for a decoder that has none there, not in `calibrated`, as the base gives them. Bars, in
`falls_short`: the language model takes 40 % of word errors of adapters (on `digits` of the base, too), own words double
the recall of rare words, and where there are none cost one point of WER at most, and a calibrated decoder's confidence
with adapters is wrong by at most 5 %.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace

from torch import Tensor

from benchmarks.common import CACHE, emit, say
from benchmarks.recognition.names import TEST_NAMES
from benchmarks.recognition.sets import DEMO, Spoken, digits, of_files, so762
from ds2ray.commands import language_model
from ds2ray.config import DecodeConfig, DecoderKind, LanguageModelJob, StorageConfig, TranscribeJob
from ds2ray.config.text import OF_THE_BASE
from ds2ray.decoding.decoder import Decoded, Decoder, name_of
from ds2ray.decoding.language.language_model import Perplexity
from ds2ray.decoding.own_words import WordTree
from ds2ray.metrics import aligned
from ds2ray.recognition.calibrating import confidence_error
from ds2ray.recognition.decoders import open_decoder, open_language_model
from ds2ray.recognition.hypothesis import Hypothesis
from ds2ray.recognition.own_words import hears_words
from ds2ray.recognition.speakers import Speaker, Speakers
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.store import OwnWord, erase_words, publish_words, user_key
from ds2ray.tables.manifest import Utterance
from ds2ray.text import Vocabulary, normalise

DECODERS = {
    "greedy": DecodeConfig(),
    "beam": DecodeConfig(decoder=DecoderKind.beam, words_weight=0.0),
    "lm": DecodeConfig(decoder=DecoderKind.beam, language_model=OF_THE_BASE, words_weight=0.0),
    "lm_words": DecodeConfig(decoder=DecoderKind.beam, language_model=OF_THE_BASE),
}
LM_WEIGHTS = (0.4, 0.8, 1.2, 1.8)
NUM_WORDS = 100
"""Own words of each user."""
SIDES = ("base", "adapter")
OTHERS = ("sentences", "rare_recall", "chosen", "perplexity", "unknown", "confidence_error", "calibrated")
MOST_CONFIDENCE_ERROR = 5.0
"""Percent."""
LEAST_GAIN = 0.4
"""Share of the word errors that a language model takes."""
MORE_RECALL, MOST_WER = 2.0, 1.0
"""How many times as many rare words are heard with own words, and the points of WER that these may cost elsewhere."""


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ("NAME", "STORE", "TEST", "VALID", "TEXTS")
    parser.add_argument("--set", "-s", nargs=5, action="append", metavar=names, dest="files", default=[])
    parser.add_argument(
        "--sets", nargs="*", default=[], choices=["demo", "digits", "so762"], help="empty: all, or --set"
    )
    parser.add_argument("--digits-base", default="", help="a model.pt; empty: trained if need be (10 minutes)")
    parser.add_argument("--so762-base", default="", help="a model.pt; empty: trained if need be (30 minutes)")
    parser.add_argument("--so762-people", type=int, default=0, help="whom the base has not heard, at most; 0: all 25")
    parser.add_argument("--vad", default=TranscribeJob.vad.value, help="off: every file is recognised as a whole")
    parser.add_argument("--cache", default=CACHE, help="keeps speech, bases and adapters between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    fields: dict[str, dict[str, object]] = {name: {} for name in ("wer", "cer", "speed", *OTHERS)}
    missed = []
    for spoken in sets(args):
        say(f"{spoken.name}: {len(spoken.test)} sentences, weights chosen on {len(spoken.valid)} others")
        with redirect_stdout(sys.stderr):  # stdout is for the result alone
            language_model.run(LanguageModelJob(texts=spoken.texts, storage=StorageConfig(root=spoken.root)))
        found = Compared.of(Transcriber.open(spoken.root, vad=args.vad), spoken)
        for name in fields:
            fields[name][spoken.name] = getattr(found, name)
        missed += [f"{spoken.name}: {what}" for what in found.falls_short(spoken.name)]
    emit("decode", {**fields, "falls_short": missed}, args.save)


def sets(args: argparse.Namespace) -> Iterator[Spoken]:
    """The sets that are wanted, made where they are not there."""
    wanted = args.sets or ([] if args.files else ["demo", "digits", "so762"])
    for files in [*args.files, *([DEMO] if "demo" in wanted else [])]:
        yield of_files(*files)
    if "digits" in wanted:
        yield digits(args.cache, args.digits_base)
    if "so762" in wanted:
        yield so762(args.cache, args.so762_base, args.so762_people)


@dataclass
class Compared:
    """The decoders on one set."""

    wer: dict[str, dict[str, float]] = field(default_factory=dict)
    cer: dict[str, dict[str, float]] = field(default_factory=dict)
    speed: dict[str, dict[str, float]] = field(default_factory=dict)
    confidence_error: dict[str, dict[str, float]] = field(default_factory=dict)
    sentences: int = 0
    rare_recall: dict[str, float] | None = None
    chosen: dict[str, float] = field(default_factory=dict)
    perplexity: float = 0.0
    unknown: float = 0.0
    calibrated: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, transcriber: Transcriber, spoken: Spoken) -> "Compared":
        """Recognise the utterances by each decoder, by the base alone and with their users' adapters."""
        found = cls(sentences=len(spoken.test), chosen={"lm_weight": chosen_weight(transcriber, spoken.valid)})
        store, vocabulary = transcriber.store, transcriber.base.vocabulary
        rare = rare_words(transcriber, spoken.test)
        names = [name for name in TEST_NAMES if not vocabulary.unknown_characters(name)]
        own = own_words(rare, sorted({utterance.user_id for utterance in spoken.test}), names)
        heard: dict[str, list[Hypothesis]] = {}
        try:
            for user, words in own.items():
                publish_words(store, user_key(user), map(OwnWord, words))
            for name, settings in DECODERS.items():
                heard[name] = found.compare(name, settings, transcriber, spoken.test)
        finally:
            for user in own:
                erase_words(store, user_key(user))
        if count := sum(map(len, rare.values())):
            found.rare_recall = {
                "before": recall(spoken.test, heard["lm"], rare),
                "after": recall(spoken.test, heard["lm_words"], rare),
                "count": count,
            }
        transcripts = [utterance.transcript for utterance in spoken.test]
        of_text = perplexity(transcriber, transcripts)
        found.perplexity = of_text.value
        found.unknown = of_text.num_unknown / max(1, of_text.num_unknown + of_text.num_predicted)
        found.calibrated = [name for name in DECODERS if name in transcriber.calibrations]
        return found

    def compare(
        self, name: str, settings: DecodeConfig, transcriber: Transcriber, utterances: Sequence[Utterance]
    ) -> list[Hypothesis]:
        """Add one decoder's figures; what it hears with adapters."""
        if settings.language_model:
            settings = replace(settings, lm_weight=self.chosen["lm_weight"])
        base, store = transcriber.base, transcriber.store
        seconds = sum(utterance.duration_s or 0.0 for utterance in utterances)
        transcripts = [utterance.transcript for utterance in utterances]
        for figures in (self.wer, self.cer, self.speed, self.confidence_error):
            figures[name] = {}
        heard: list[Hypothesis] = []
        for side, speakers in {"base": Alone(store, base), "adapter": Speakers(store, base)}.items():
            timed = Timed(open_decoder(settings, base.vocabulary, store, base.base_id))
            transcriber.decoder, transcriber.speakers = timed, speakers
            heard = transcriber.transcribe_utterances(utterances)
            score = transcriber.score(transcripts, heard)
            self.wer[name][side], self.cer[name][side] = 100 * score.words.rate(), 100 * score.characters.rate()
            self.speed[name][side] = seconds / max(timed.seconds, 1e-9)
            self.confidence_error[name][side] = 100 * confidence_error(transcriber, transcripts, heard)
            say(f"{name}, {side}: WER {self.wer[name][side]:.2f} %, {self.speed[name][side]:.0f} s a second")
        return heard

    def falls_short(self, name: str) -> list[str]:
        """The bars that are missed by the set of this name."""
        missed = []
        sides = {"digits": SIDES, "so762": ()}.get(name, ("adapter",))
        if any(self.wer["lm"][side] > (1 - LEAST_GAIN) * self.wer["greedy"][side] for side in sides):
            missed.append("the language model's gain")
        rare = self.rare_recall
        if rare and rare["after"] < MORE_RECALL * rare["before"]:
            missed.append("recall of rare words")
        if not rare and any(self.wer["lm_words"][side] > self.wer["lm"][side] + MOST_WER for side in SIDES):
            missed.append("errors by own words")
        for decoder in self.calibrated:
            if self.confidence_error[decoder]["adapter"] > MOST_CONFIDENCE_ERROR:
                missed.append(f"confidence of {decoder}")
        return missed


class Alone(Speakers):
    """Speakers whose adapters are left out, so that the base alone hears them, with their own words."""

    def _look(self, user: str, known: Speaker | None) -> Speaker:
        return Speaker(note="the base alone is measured")


def chosen_weight(transcriber: Transcriber, utterances: Sequence[Utterance]) -> float:
    """The weight of the language model by which the base, without adapters, makes the fewest word errors; of
    several the one that is nearest to the default."""
    base, errors = transcriber.base, {}
    for weight in LM_WEIGHTS:
        settings = replace(DECODERS["lm"], lm_weight=weight)
        transcriber.decoder = open_decoder(settings, base.vocabulary, transcriber.store, base.base_id)
        heard = transcriber.transcribe_utterances(utterances, use_adapters=False)
        errors[weight] = transcriber.score([u.transcript for u in utterances], heard).words.rate()
        say(f"language model's weight {weight:g}: WER {errors[weight]:.1%} on other sentences")
    return min(errors, key=lambda weight: (errors[weight], abs(weight - DecodeConfig.lm_weight)))


def rare_words(transcriber: Transcriber, utterances: Sequence[Utterance]) -> dict[str, list[str]]:
    """By user, the words of the sentences that the language model does not know and the base can write."""
    base = transcriber.base
    model, _ = open_language_model(OF_THE_BASE, transcriber.store, base.base_id)
    known, found = set(model.words), defaultdict[str, list[str]](list)
    for utterance in utterances:
        for word in normalise(utterance.transcript, base.vocabulary.config).split():
            if word not in known and not base.vocabulary.unknown_characters(word):
                found[utterance.user_id].append(word)
    return dict(found)


def own_words(rare: Mapping[str, Sequence[str]], users: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """NUM_WORDS words for each user: the own rare ones, those of others and names, as many as there are."""
    others = [*dict.fromkeys(word for words in rare.values() for word in words), *names]
    return {user: list(dict.fromkeys([*rare.get(user, ()), *others]))[:NUM_WORDS] for user in users}


def recall(utterances: Sequence[Utterance], heard: Sequence[Hypothesis], rare: Mapping[str, Sequence[str]]) -> float:
    """The share of rare words that stand where they were said, in percent."""
    hits = count = 0
    for utterance, hypothesis in zip(utterances, heard, strict=True):
        wanted = set(rare.get(utterance.user_id, ()))
        for said, found in aligned(utterance.transcript.split(), hypothesis.text.split()):
            if said in wanted:
                count, hits = count + 1, hits + (said == found)
    return 100 * hits / max(1, count)


def perplexity(transcriber: Transcriber, transcripts: Sequence[str]) -> Perplexity:
    """That of transcripts by the language model beside the base."""
    base = transcriber.base
    model, _ = open_language_model(OF_THE_BASE, transcriber.store, base.base_id)
    return model.perplexity(normalise(transcript, base.vocabulary.config).split() for transcript in transcripts)


class Timed:
    """A decoder that counts the processor's time that another one takes."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder, self.name, self.seconds = decoder, name_of(decoder), 0.0
        self.words_weight = float(getattr(decoder, "words_weight", 0.0))

    def hearing(self, trees: Sequence[WordTree | None], vocabulary: Vocabulary) -> Decoder:
        """A timed decoder of a batch whose rows have these own words; its time counts here."""
        return _Part(self, self.decoder.hearing(trees, vocabulary) if hears_words(self.decoder) else self.decoder)

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[Decoded]:
        """What the other one hears."""
        return self.timed(self.decoder, log_probs, lengths)

    def timed(self, decoder: Decoder, log_probs: Tensor, lengths: Tensor) -> list[Decoded]:
        """What a decoder hears, whose time counts here."""
        started_s = time.process_time()
        decoded = decoder.decode(log_probs, lengths)
        self.seconds += time.process_time() - started_s
        return decoded


@dataclass(frozen=True)
class _Part:
    whole: Timed
    decoder: Decoder

    def decode(self, log_probs: Tensor, lengths: Tensor) -> list[Decoded]:
        return self.whole.timed(self.decoder, log_probs, lengths)


if __name__ == "__main__":
    main()
