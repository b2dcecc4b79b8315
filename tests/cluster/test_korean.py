"""Korean from end to end, with syllables and with letters as tokens: a base, one user's adapter, recognition."""

import re
from pathlib import Path

import pytest
from base_training import NO_AUGMENT

from ds2ray.commands.train import run
from ds2ray.config import (
    AdapterConfig,
    AudioConfig,
    ClusterConfig,
    DataConfig,
    ErrorMetric,
    ModelConfig,
    StorageConfig,
    TextConfig,
    TextUnit,
    TrainConfig,
    TrainJob,
    UnknownCharacters,
)
from ds2ray.demo.corpus import DemoCorpus, make_corpus
from ds2ray.recognition.transcriber import Transcriber
from ds2ray.store import Store, read_base_record
from ds2ray.tables.manifest import read_manifest

EPOCH_LINE = re.compile(r"epoch (\d+)/20 · loss (\S+) · valid \S+ · CER \S+% · WER .*")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> DemoCorpus:
    folder = str(tmp_path_factory.mktemp("korean"))
    return make_corpus(
        folder, num_train_sentences=24, num_valid_sentences=3, num_user_sentences=4, num_test_sentences=1, korean=True
    )


@pytest.mark.parametrize("unit", TextUnit)
def test_korean_from_end_to_end(
    unit: TextUnit, corpus: DemoCorpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def job(**train: object) -> TrainJob:
        settings = {"num_epochs": 20, "batch_s": 5.0, "learning_rate": 0.01, "metric": ErrorMetric.cer, **train}
        return TrainJob(
            model=ModelConfig(conv_channels=4, num_rnn_layers=1, rnn_hidden_dim=64),
            audio=AudioConfig(num_mels=16),
            text=TextConfig(unit=unit),
            data=DataConfig(unknown_characters=UnknownCharacters.drop),  # few sentences do not hold all syllables
            adapter=AdapterConfig(hidden_dims=[8]),
            train=TrainConfig(output_dir=str(tmp_path / "outputs"), augment=NO_AUGMENT, **settings),  # type: ignore[arg-type]
            storage=StorageConfig(root=str(tmp_path / "store")),
            cluster=ClusterConfig(num_workers=0),
        )

    assert run(job(manifest=corpus.train_manifest, valid_manifest=corpus.valid_manifest)) == 0
    lines = capsys.readouterr().out.splitlines()
    epochs = [match for match in map(EPOCH_LINE.fullmatch, lines) if match]
    assert [int(match[1]) for match in epochs] == list(range(1, 21))
    # in five epochs it learns how often each token stands, which leaves a loss of 3, and after that what it hears
    losses = [float(match[2]) for match in epochs]
    assert losses[-1] < 0.5 * losses[4] < 0.5 * losses[0]
    assert 0 < read_base_record(Store(str(tmp_path / "store"))).metrics["cer"] <= 1

    user = corpus.user_ids[0]
    model = str(tmp_path / "outputs" / "model.pt")
    speech = f"{corpus.root}/users/{user}.csv"
    adapter = job(
        manifest=speech, base_model_path=model, adapter_name=user, adapter_save_dir=str(tmp_path), num_epochs=2
    )
    assert run(adapter) == 0
    assert re.search(rf"adapter {user}: held-out CER \S+% → \S+%, 2 epochs", capsys.readouterr().out)

    transcriber = Transcriber.open(str(tmp_path / "store"))
    vocabulary = transcriber.base.vocabulary
    known = read_manifest(corpus.train_manifest).utterances
    heard = transcriber.transcribe_utterances(known, use_adapters=False)
    of_known = transcriber.score([utterance.transcript for utterance in known], heard)
    assert of_known.rate(ErrorMetric.cer) < 0.8
    text = known[0].transcript
    assert vocabulary.decode(vocabulary.encode(text)) == text
    syllables = {character for character in text if character != " "}
    assert (len(vocabulary.encode(text)) > len(text)) == (unit is TextUnit.jamo)
    assert all("가" <= syllable <= "힣" for syllable in syllables)
    utterances = read_manifest(corpus.test_manifest).utterances
    hypotheses = transcriber.transcribe_utterances(utterances)
    assert not any(hypothesis.error for hypothesis in hypotheses)
    score = transcriber.score([utterance.transcript for utterance in utterances], hypotheses)
    assert score.characters.reference_length == sum(len(u.transcript) for u in utterances)
