"""Language models in the store, each beside the base whose tokens it knows. lm.json is written last, and is the commit.

The model is an ARPA file, packed by gzip and named by its content, so that a reader of an earlier record finds its own.
"""

from dataclasses import dataclass
from typing import Any

from ds2ray.errors import InputError
from ds2ray.naming import named
from ds2ray.store.layout import base_uri, language_model_record_uri, language_model_uri
from ds2ray.store.records import read_record, write_record
from ds2ray.store.store import Store
from ds2ray.store.verify import ID_LENGTH, read_verified, sha256

KIND = "language model"


@dataclass(frozen=True, kw_only=True)
class LanguageModelRecord:
    """The record lm.json of a base's language model.

    Attributes:
        base_id: of the base whose vocabulary it was made for.
        version: first hex digits of the sha256 of the packed file.
        unit: what it predicts, words or tokens.
        num_ngrams: of each order, from single units on.
        perplexity: on sentences that a model like it was not made from; None where there were too few sentences.
    """

    base_id: str
    version: str
    sha256: str
    size_bytes: int
    unit: str
    num_ngrams: tuple[int, ...]
    num_sentences: int
    perplexity: float | None

    @property
    def where(self) -> str:
        """The file, for messages."""
        return f"bases/{self.base_id}/lm/lm.json"


def publish_language_model(
    store: Store, base_id: str, data: bytes, folder_uri: str = "", **described: Any
) -> LanguageModelRecord:
    """Make a packed ARPA file the language model of a base.

    Args:
        folder_uri: of the base, where it is not in this store.
        described: the other fields of the record.
    """
    digest = sha256(data)
    record = LanguageModelRecord(
        base_id=base_id, version=digest[:ID_LENGTH], sha256=digest, size_bytes=len(data), **described
    )
    folder = folder_uri or base_uri(store, base_id)
    store.write_bytes(language_model_uri(folder, record.version), data)
    write_record(store, language_model_record_uri(folder), KIND, record)
    return record


def read_language_model_record(store: Store, base_id: str, folder_uri: str = "") -> LanguageModelRecord:
    """The record of a base's language model alone; arguments and errors are those of `read_language_model`."""
    uri = language_model_record_uri(folder_uri or base_uri(store, base_id))
    remedy = f"restore it, or make it again with {named('language_model')}"
    try:
        return read_record(store, LanguageModelRecord, uri, kind=KIND, bound={"base_id": base_id}, remedy=remedy)
    except FileNotFoundError:
        raise InputError(
            f"base {base_id} has no language model ({uri} is missing): make one with {named('language_model')} "
            "<texts>, or name an ARPA file with decode.language_model=, or decode without one: decode=beam"
        ) from None


def read_language_model(store: Store, base_id: str, folder_uri: str = "") -> tuple[LanguageModelRecord, bytes]:
    """The language model of a base, a packed ARPA file, verified.

    Args:
        folder_uri: of the base, where it is not in this store.

    Raises:
        InputError: the base has none.
        ArtifactCorruptError: it is missing or has changed since it was published, or is another base's.
    """
    record = read_language_model_record(store, base_id, folder_uri)
    uri = language_model_uri(folder_uri or base_uri(store, base_id), record.version)
    return record, read_verified(store, uri, record.size_bytes, record.sha256)


def adopt_language_model(store: Store, base_id: str, folder_uri: str) -> None:
    """Publish the language model of a base that is not in this store beside the one that is, where it has one."""
    if not store.exists(language_model_record_uri(folder_uri)):
        return
    record, data = read_language_model(store, base_id, folder_uri)
    folder = base_uri(store, base_id)
    store.write_bytes(language_model_uri(folder, record.version), data)
    write_record(store, language_model_record_uri(folder), KIND, record)
