"""Decoders as settings name them, with the base of the stored fixture, whose voices are tones, its letters a to d."""

import ast
import gzip
import shutil
from pathlib import Path

import pytest

from ds2ray import Transcriber
from ds2ray.commands import language_model
from ds2ray.config import (
    DecodeConfig,
    DecoderKind,
    LanguageModelConfig,
    LanguageModelJob,
    LanguageModelUnit,
    StorageConfig,
    TextConfig,
    Vad,
)
from ds2ray.decoding.beam import Beam
from ds2ray.decoding.fusion import NoFusion, TokenFusion, WordFusion
from ds2ray.decoding.greedy import Greedy
from ds2ray.errors import ArtifactCorruptError, ConfigError, InputError
from ds2ray.recognition import decoders
from ds2ray.recognition.decoders import decoding_notes, open_decoder, read_lexicon
from ds2ray.store import Store, publish_language_model
from ds2ray.text import Vocabulary

STORED = Path(__file__).resolve().parents[1] / "fixtures" / "stored"
BASE = "3ffd65016769353c"
VOCABULARY = Vocabulary.from_tokens(" abcd", TextConfig())
BEAM, LM = DecodeConfig(decoder=DecoderKind.beam), DecodeConfig(decoder=DecoderKind.beam, language_model="base")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A copy of the stored fixture, and a text beside it."""
    shutil.copytree(STORED / "store", tmp_path / "store")
    (tmp_path / "text.txt").write_text("bad\nda a\ncdb bad\n" * 3)
    return Store(str(tmp_path / "store"))


def make(store: Store, tmp_path: Path, unit: LanguageModelUnit = LanguageModelUnit.word, base: str = "") -> None:
    settings = StorageConfig(root=store.root_uri)
    text = str(tmp_path / "text.txt")
    job = LanguageModelJob(texts=[text], base=base, lm=LanguageModelConfig(unit=unit), storage=settings)
    assert language_model.run(job) == 0


def hear(store: Store, decode: DecodeConfig, base: str = "") -> list[str]:
    transcriber = Transcriber.open(store, base, device="cpu", vad=Vad.off, decoder=decode)
    return [heard.text for heard in transcriber.transcribe([str(STORED / name) for name in ("3-010.wav", "3-011.wav")])]


def test_settings_choose_the_decoder(store: Store, tmp_path: Path) -> None:
    assert open_decoder(DecodeConfig(), VOCABULARY, store, BASE) == Greedy()
    beam = open_decoder(BEAM, VOCABULARY, store, BASE)
    assert isinstance(beam, Beam)
    assert isinstance(beam.fusion, NoFusion)
    make(store, tmp_path)
    words = open_decoder(LM, VOCABULARY, store, BASE)
    assert isinstance(words, Beam)
    assert isinstance(words.fusion, WordFusion)
    make(store, tmp_path, LanguageModelUnit.token)
    tokens = open_decoder(LM, VOCABULARY, store, BASE)
    assert isinstance(tokens, Beam)
    assert isinstance(tokens.fusion, TokenFusion)


def test_greedy_decoding_imports_nothing_of_the_others() -> None:
    tree = ast.parse(Path(decoders.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    ours = {name for name in imported if name and name.startswith(("ds2ray.decoding", "ds2ray.corpora"))}
    assert ours == {"ds2ray.decoding.decoder", "ds2ray.decoding.greedy"}


def test_a_published_model_is_used_for_its_base(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"base {BASE} has no language model"):
        hear(store, LM)
    make(store, tmp_path)
    assert hear(store, LM) == hear(store, BEAM) == ["da a", "cdb bad"]
    by_model_file = hear(store, LM, str(STORED / "model.pt"))  # the same base: its model is found by its id
    assert by_model_file == ["da a", "cdb bad"]
    elsewhere = Store(str(tmp_path / "empty"))
    assert hear(elsewhere, LM, f"{store.root_uri}/bases/{BASE}/") == ["da a", "cdb bad"]


def test_a_lexicon_alone_decides_which_words_are_heard(store: Store, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("DAB, a\nbcd bad\n")
    decode = DecodeConfig(decoder=DecoderKind.beam, lexicon=str(tmp_path / "words.txt"))
    heard = hear(store, decode)
    assert set(" ".join(heard).split()) <= {"dab", "a", "bcd", "bad"}
    assert heard[1].endswith("bad")


def test_an_arpa_file_of_any_origin(store: Store, tmp_path: Path) -> None:
    make(store, tmp_path)
    (packed,) = (tmp_path / "store" / "bases" / BASE / "lm").glob("*.arpa.gz")
    arpa = tmp_path / "other.arpa"
    arpa.write_bytes(gzip.decompress(packed.read_bytes()))
    for path in (packed, arpa):
        decode = DecodeConfig(decoder=DecoderKind.beam, language_model=str(path), lexicon="model")
        assert hear(store, decode) == ["da a", "cdb bad"]
    with pytest.raises(InputError, match="text.txt: not an ARPA file"):
        hear(store, DecodeConfig(decoder=DecoderKind.beam, language_model=str(tmp_path / "text.txt")))


def test_words_of_a_foreign_model_that_cannot_be_heard_are_told(store: Store, tmp_path: Path) -> None:
    arpa = tmp_path / "other.arpa"
    arpa.write_text("\\data\\\nngram 1=3\n\n\\1-grams:\n-1 BAD\n-1 é\n-1 </s>\n\n\\end\\\n", encoding="utf-8")
    decode = DecodeConfig(decoder=DecoderKind.beam, language_model=str(arpa), lexicon="model")
    decoder = open_decoder(decode, VOCABULARY, store, BASE)
    assert decoding_notes(decoder) == [
        "never heard, as the base cannot write them: 1 of the language model's words: 'é'"
    ]
    assert decoding_notes(Greedy()) == []
    assert set(" ".join(hear(store, decode)).split()) == {"bad"}  # capitals are those of the file


def test_a_model_that_is_no_model_is_corrupt(store: Store) -> None:
    for data in (b"nothing packed", gzip.compress(b"\\data\\\n")):
        publish_language_model(store, BASE, data, unit="word", num_ngrams=[], num_sentences=0, perplexity=None)
        with pytest.raises(ArtifactCorruptError, match=f"bases/{BASE}/lm/lm.json: its model cannot be read"):
            hear(store, LM)


def test_a_model_of_tokens_takes_no_lexicon(store: Store, tmp_path: Path) -> None:
    make(store, tmp_path, LanguageModelUnit.token)
    assert hear(store, LM) == ["da a", "cdb bad"]
    with pytest.raises(ConfigError, match="needs a language model of words"):
        hear(store, DecodeConfig(decoder=DecoderKind.beam, language_model="base", lexicon="model"))


@pytest.mark.parametrize(
    ("content", "told"),
    [("", "there are no words"), ("é bad", "1 of its 2 words hold characters that the base cannot")],
)
def test_a_lexicon_that_cannot_be_used_is_told(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "words.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=f"words.txt: {told}"):
        read_lexicon(str(path), VOCABULARY)
