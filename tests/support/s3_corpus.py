"""A corpus in a bucket."""

from dataclasses import replace

from fleet_runs import spoken

from ds2ray import storage
from ds2ray.demo.corpus import DemoCorpus
from ds2ray.tables.manifest import Utterance, read_manifest, write_manifest

USERS = ("fiona", "tony")


def copy_corpus(corpus: DemoCorpus, folder: str) -> None:
    """Copy what the base and two users need; manifests name the audio relative to themselves."""

    def moved(utterance: Utterance) -> Utterance:
        assert isinstance(utterance.audio, str)
        uri = storage.join(folder, "audio", utterance.audio.rpartition("/")[2])
        storage.write_bytes(uri, storage.read_bytes(utterance.audio))
        return replace(utterance, audio=uri)

    tests = [u for u in read_manifest(corpus.test_manifest).utterances if u.user_id in USERS]
    parts = {
        "train.csv": read_manifest(corpus.train_manifest).utterances,
        "valid.jsonl": read_manifest(corpus.valid_manifest).utterances,
        "users.parquet": [u for user in USERS for u in spoken(corpus)[user]],
        "test.csv": tests,
    }
    for name, utterances in parts.items():
        write_manifest(storage.join(folder, name), [moved(utterance) for utterance in utterances])
