"""Users' own words: names that no text of the base or its language model holds, before and after their users set them.

Five ordinary voices of the demo each say sentences with names of their own, and sentences without. Each has 100 words,
of which a part is said. `recall[decoder][weight]` is the share of the said names that are heard, in percent, `wer` the
word errors of the sentences without names, `false_alarms` the names that are heard in these. Weight 0 is before.
`--part valid` takes other names and other sentences, to choose the weight on. The base is the demo's, which has learnt
from 67 words; or with `--base` and `--texts` one that has learnt from many, and then the sentences without names are
those of people of so762 whose texts it has not learnt from. `cost` is the processor's time with 100 words for each of
32 users over that with none, in turns in one run: of the `search` alone, and of `recognition`, from sound to text.
Bars, in `falls_short`, at the default weight: recall at least doubled (10 % where next to nothing was heard), at most
one point of WER more, at most 5 % slower recognition.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace

import torch

from benchmarks.common import CACHE, emit, say
from benchmarks.real_people.people import NUM_FOLDS, SPEECH, read_people
from benchmarks.recognition.names import NAMES, TEST_NAMES, VALID_NAMES
from benchmarks.speech import base_corpus, digest, ordinary_speakers, trained_base
from ds2ray import storage
from ds2ray.commands import language_model
from ds2ray.config import DecodeConfig, DecoderKind, LanguageModelJob, StorageConfig
from ds2ray.decoding.beam import Beam
from ds2ray.decoding.own_words import WordTree
from ds2ray.demo.corpus import ENGLISH_BASE, DemoCorpus, Session, record
from ds2ray.metrics import score_texts
from ds2ray.model.stored import open_base, publish_base
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.sound.audio import read_waveform
from ds2ray.store import OwnWord, Store, publish_words, user_key
from ds2ray.tables.manifest import Utterance, read_manifest, write_manifest
from ds2ray.text import normalise

DECODERS = {
    "beam": DecodeConfig(decoder=DecoderKind.beam),
    "lm": DecodeConfig(decoder=DecoderKind.beam, language_model="base"),
}
FRAMES = (
    "call {} about the report tonight",
    "wake {} at two today",
    "cancel the meeting with {} now",
    "send {} the letter",
)
LEAST_RECALL, MOST_WER, MOST_COST = 2.0, 1.0, 1.05
FEW = 5.0
"""Percent: a recall below counts as this much, as nothing twice is nothing."""
TURNS = 15


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="", help="a model.pt; empty: the demo's, trained if need be")
    parser.add_argument("--texts", default="", help="the texts of that base, a manifest; empty: the demo's")
    parser.add_argument("--part", choices=["test", "valid"], default="test", help="valid: to choose a weight on")
    parser.add_argument("--words", type=int, default=100, help="of each user")
    parser.add_argument("--said", type=int, default=20, help="of them, each in one sentence")
    parser.add_argument("--test-sentences", type=int, default=25, help="without names, per voice")
    parser.add_argument("--weights", type=float, nargs="*", default=[DecodeConfig.words_weight])
    parser.add_argument("--decoders", nargs="*", default=list(DECODERS), choices=list(DECODERS))
    parser.add_argument("--no-cost", action="store_true", help="errors alone")
    parser.add_argument("--cache", default=CACHE, help="keeps speech and base between runs")
    parser.add_argument("--save", action="store_true", help="keep the line in benchmarks/results/")
    args = parser.parse_args(argv)
    ordinary = base_corpus(args.cache, 400, 40)
    base = open_base(
        Store(storage.join(args.cache, "none")),
        storage.absolute(args.base) if args.base else trained_base(args.cache, ordinary),
    )
    texts = storage.absolute(args.texts) if args.texts else ordinary.train_manifest
    known = {word for u in read_manifest(texts).utterances for word in u.transcript.split()}
    pool = VALID_NAMES if args.part == "valid" else TEST_NAMES
    names = names_of(pool, args.words, base.vocabulary.tokens, known, list(ENGLISH_BASE))
    others = without_names(args.cache, args.part, args.test_sentences, ordinary, is_open=bool(args.texts))
    with_names = spoken(
        args.cache,
        {
            user: [FRAMES[n % len(FRAMES)].format(w) for n, w in enumerate(own[: args.said])]
            for user, own in names.items()
        },
    )
    with tempfile.TemporaryDirectory() as root:
        store = Store(root)
        publish_base(store, base, "benchmark", {})
        for user, own in names.items():
            publish_words(store, user_key(user), map(OwnWord, own))
        if "lm" in args.decoders:
            with redirect_stdout(sys.stderr):  # stdout is for the result alone
                language_model.run(LanguageModelJob(texts=[texts], storage=StorageConfig(root=root)))
        fields: dict[str, object] = {"part": args.part, "base": base.base_id, "base_words": len(known)}
        found = compared(root, args.decoders, [0.0, *args.weights], with_names, others, names)
        cost = {} if args.no_cost else cost_of_words(root, others, args.words, base.vocabulary.tokens, known)
    missed = falls_short(found, cost)
    emit("words" + ("-open" if args.texts else ""), {**fields, **found, "cost": cost, "falls_short": missed}, args.save)


def names_of(
    names: Sequence[str], count: int, tokens: Sequence[str], known: set[str], users: Sequence[str]
) -> dict[str, list[str]]:
    """Names of each user that the tokens can spell and no text holds; each user's begin at another one."""
    pool = [name for name in names if set(name) <= set(tokens) and name not in known]
    return {user: [pool[(31 * n + i) % len(pool)] for i in range(count)] for n, user in enumerate(users)}


def without_names(cache: str, part: str, per_voice: int, ordinary: DemoCorpus, is_open: bool) -> list[Utterance]:
    """Sentences that the base has not learnt from, in which nobody says a name."""
    if not is_open:
        if part == "valid":
            return read_manifest(ordinary.valid_manifest).utterances[: per_voice * len(ENGLISH_BASE)]
        return [u for voice in ordinary_speakers(cache, per_voice, ordinary) for u in voice.test]
    people = read_people(str(SPEECH))[0::NUM_FOLDS]
    said = sorted({u.transcript for person in people for u in person.utterances}, key=digest)
    said = [sentence for sentence in said if not set(sentence.split()) & set(NAMES)][part == "valid" :: 2]
    return spoken(cache, {user: said[n :: len(ENGLISH_BASE)][:per_voice] for n, user in enumerate(ENGLISH_BASE)})


def spoken(cache: str, said: dict[str, list[str]]) -> list[Utterance]:
    """The sentences of each user by the user's voice."""
    folder = storage.absolute(storage.join(cache, f"said-{digest(repr(said))}"))
    manifest = storage.join(folder, "test.parquet")
    if not storage.exists(manifest):
        sessions = [Session("test", user, ENGLISH_BASE[user], tuple(sentences)) for user, sentences in said.items()]
        write_manifest(manifest, [u for session in sessions for u in record(session, folder, 0)])
    return read_manifest(manifest).utterances


def compared(
    root: str,
    decoders: Sequence[str],
    weights: Sequence[float],
    with_names: Sequence[Utterance],
    others: Sequence[Utterance],
    names: dict[str, list[str]],
) -> dict[str, dict[str, dict[str, float]]]:
    """Recall, errors and false alarms of each decoder by weight."""
    fields: dict[str, dict[str, dict[str, float]]] = {
        name: {decoder: {} for decoder in decoders} for name in ("recall", "wer", "wer_with_names", "false_alarms")
    }
    for decoder in decoders:
        for weight in weights:
            transcriber = Transcriber.open(root, device="cpu", decoder=replace(DECODERS[decoder], words_weight=weight))
            heard = transcriber.transcribe_utterances(with_names)
            own = [set(names[u.user_id]) for u in with_names]
            hits = sum(
                bool(set(u.transcript.split()) & mine & set(h.text.split()))
                for u, mine, h in zip(with_names, own, heard, strict=True)
            )
            plain = transcriber.transcribe_utterances(others)
            key = f"{weight:g}"
            fields["recall"][decoder][key] = 100 * hits / len(with_names)
            fields["wer_with_names"][decoder][key] = rate(transcriber, with_names, [h.text for h in heard])
            fields["wer"][decoder][key] = rate(transcriber, others, [h.text for h in plain])
            fields["false_alarms"][decoder][key] = sum(
                len(set(names[u.user_id]) & set(h.text.split())) for u, h in zip(others, plain, strict=True)
            )
            say(f"{decoder}, {key}: " + ", ".join(f"{name} {fields[name][decoder][key]:.1f}" for name in fields))
    return fields


def rate(transcriber: Transcriber, utterances: Sequence[Utterance], texts: Sequence[str]) -> float:
    """WER in percent."""
    config = transcriber.base.vocabulary.config
    return 100 * score_texts([normalise(u.transcript, config) for u in utterances], texts).words.rate()


def cost_of_words(
    root: str, utterances: Sequence[Utterance], count: int, tokens: Sequence[str], known: set[str], users: int = 32
) -> dict[str, float]:
    """The processor's time with own words over that with none, of a batch in which everyone is another user."""
    transcriber = Transcriber.open(root, device="cpu", decoder=DECODERS["beam"])
    names = names_of(TEST_NAMES, count, tokens, known, [f"user-{n}" for n in range(users)])
    for user, own in names.items():
        publish_words(transcriber.store, user_key(user), map(OwnWord, own))
    rate_hz = transcriber.base.audio.sample_rate_hz
    waveforms = [read_waveform(u.audio, rate_hz) for u in utterances[:users]]
    rows = [torch.from_numpy(waveform) for waveform in waveforms]
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    found = transcriber.own_words.find_many(names)
    trees: dict[str, list[WordTree | None]] = {
        "none": [None] * len(rows),
        "words": [found[user].tree for user in names][: len(rows)],
    }
    seconds: dict[str, dict[str, list[float]]] = {what: {name: [] for name in trees} for what in ("search", "sound")}
    for _ in range(TURNS):
        for name, of_rows in trees.items():
            started_s = time.process_time()
            with torch.no_grad():
                log_probs, frames = transcriber.base.model.forward_rows(
                    *transcriber.base.model.features(padded, lengths), []
                )
            heard_s = time.process_time()
            beam = transcriber.decoder
            if not isinstance(beam, Beam):
                raise TypeError(beam)
            beam.hearing(of_rows, transcriber.base.vocabulary).decode(log_probs, frames)
            seconds["sound"][name].append(heard_s - started_s)
            seconds["search"][name].append(time.process_time() - heard_s)
    middle = {what: {name: statistics.median(of) for name, of in by.items()} for what, by in seconds.items()}
    sound_s = statistics.median([*seconds["sound"]["none"], *seconds["sound"]["words"]])
    search = middle["search"]
    say(f"sound {sound_s:.3f} s, search {search['none']:.3f} s, with words {search['words']:.3f} s")
    return {
        "search": search["words"] / search["none"],
        "recognition": (sound_s + search["words"]) / (sound_s + search["none"]),
    }


def falls_short(fields: dict[str, dict[str, dict[str, float]]], cost: dict[str, float]) -> list[str]:
    """The bars that are missed."""
    weight, missed = f"{DecodeConfig.words_weight:g}", []
    for decoder, recall in fields["recall"].items():
        wer = fields["wer"][decoder]
        if recall.get(weight, 0.0) < LEAST_RECALL * max(recall["0"], FEW):
            missed.append(f"{decoder}: recall")
        if wer.get(weight, 0.0) > wer["0"] + MOST_WER:
            missed.append(f"{decoder}: errors elsewhere")
    return missed + ["cost"] * (cost.get("recognition", 0.0) > MOST_COST)


if __name__ == "__main__":
    main()
