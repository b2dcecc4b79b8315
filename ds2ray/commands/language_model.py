"""jobs/language_model.py: make an n-gram model of texts, measure it and publish it beside its base."""

import gzip
from collections.abc import Sequence

from ds2ray import display, storage
from ds2ray.commands.wanted import MODEL_FILE_SUFFIX
from ds2ray.config import LanguageModelJob
from ds2ray.corpora.texts import Text, read_text_or_corpus
from ds2ray.decoding.language.arpa import write_arpa
from ds2ray.decoding.language.language_model import LanguageModel, Perplexity
from ds2ray.decoding.language.ngrams import SPECIAL, NGrams, estimate
from ds2ray.decoding.language.sentences import Sentences
from ds2ray.errors import ConfigError, InputError
from ds2ray.naming import typed
from ds2ray.shapes.fingerprints import require_known_version
from ds2ray.store import Store, located_base, publish_language_model, server_outside
from ds2ray.tables.problems import refuse
from ds2ray.text import Vocabulary

EVERY = 20
"""Of so many sentences one is held out, from a model that is made to be measured."""
_MAX_SHOWN = 10


def run(job: LanguageModelJob) -> int:
    """Make the model; returns 0.

    Raises:
        ConfigError: no text is named, or a base that is not in a store.
        InputError: a text cannot be read, or there are no sentences in any.
        StorageError: the store cannot be reached or refuses the credentials.
    """
    with storage.using(server_outside(job.data, job.storage)):
        return _make(job, Store.of(job.storage))


def _make(job: LanguageModelJob, store: Store) -> int:
    if not job.texts:
        raise ConfigError(f"texts is missing: {typed('language_model')} <texts and manifests>")
    if job.base.endswith(MODEL_FILE_SUFFIX):
        raise ConfigError(
            f"base={job.base}: a language model is published beside a base of a store; name that by its id"
        )
    folder_uri, record = located_base(store, job.base)
    require_known_version(record.fingerprint_version, record.where)
    sentences = Sentences(Vocabulary.from_json(record.vocabulary, record.where), job.lm.unit)
    found = list(sentences.read(line for text in _read(job) for line in text.sentences))
    if not found:
        raise InputError(f"{', '.join(job.texts)}: there are no sentences")
    _print_unwritable(sentences)
    measured = _measure(job, found)
    display.doing("counting n-grams")
    ngrams = estimate(found, job.lm.chosen_order, job.lm.min_counts)
    display.say(_described(ngrams, len(found), job, measured))
    if job.dry_run:
        return 0
    display.doing("writing the model")
    data = gzip.compress("".join(write_arpa(ngrams)).encode(), mtime=0)  # the same texts give the same bytes
    published = publish_language_model(
        store,
        record.base_id,
        data,
        folder_uri,
        unit=job.lm.unit.value,
        num_ngrams=tuple(map(len, ngrams.orders)),
        num_sentences=len(found),
        perplexity=measured.value if measured and measured.num_predicted else None,
    )
    display.say(f"wrote {folder_uri}/lm  version {published.version}, {len(data) / 1000:,.0f} kB")
    return 0


def _read(job: LanguageModelJob) -> list[Text]:
    """All texts; rows of tables that cannot be read are told, and refused or left out."""
    texts = []
    for uri in job.texts:
        text = read_text_or_corpus(uri, job.data, display.telling("reading"))
        display.say(f"{text.uri}: {len(text.sentences)} sentences")
        for note in text.notes:
            display.say(f"  {note}")
        refuse(text.problems, job.data, text.uri)
        for problem in text.problems:
            display.say(f"  left out: {problem}")
        texts.append(text)
    return texts


def _print_unwritable(sentences: Sentences) -> None:
    found = sentences.unwritable
    if not found:
        return
    shown = ", ".join(f"{word!r}" for word, _ in found.most_common(_MAX_SHOWN))
    more = f" and {len(found) - _MAX_SHOWN} others" if len(found) > _MAX_SHOWN else ""
    display.say(
        f"{found.total()} of {sentences.num_words} words hold characters that the base cannot write, and are unknown "
        f"words to the model: {shown}{more}"
    )


def _measure(job: LanguageModelJob, sentences: Sequence[Sequence[str]]) -> Perplexity | None:
    """How well a model of most sentences predicts the others; None where there are too few."""
    if len(sentences) < EVERY:
        return None
    display.doing("measuring a model of most of the sentences on the others")
    rest = [sentence for n, sentence in enumerate(sentences) if n % EVERY]
    return LanguageModel(estimate(rest, job.lm.chosen_order, job.lm.min_counts)).perplexity(sentences[::EVERY])


def _described(ngrams: NGrams, num_sentences: int, job: LanguageModelJob, measured: Perplexity | None) -> str:
    """`1,200 sentences, 5,000 words: 5,003 + 20,011 + 31,370 n-grams; perplexity …`"""
    counts = " + ".join(f"{len(order):,}" for order in ngrams.orders)
    unit = job.lm.unit.value
    text = f"{num_sentences:,} sentences, {len(ngrams.words) - len(SPECIAL):,} different {unit}s: {counts} n-grams"
    if measured is None:
        return f"{text}; too few sentences to measure the perplexity"
    of_all = measured.num_unknown + measured.num_predicted
    return (
        f"{text}; perplexity {measured.value:.1f} on every {EVERY}th sentence, by a model of the others, to which "
        f"{measured.num_unknown / of_all:.1%} of its {unit}s are unknown"
    )
