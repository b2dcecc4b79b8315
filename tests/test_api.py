"""The calls of the ancestor's Python API, word for word."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ds2ray import AdapterManager, AdapterTrainer, DeepSpeech2, MLPAdapter, SpeechDataset, Vocabulary
from ds2ray.config import AudioConfig, TextConfig
from ds2ray.sound.audio import write_audio
from ds2ray.tables.manifest import read_manifest

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
VOCABULARY = Vocabulary.from_tokens([" ", *(chr(ord("가") + index) for index in range(1998))], TextConfig())


def data_set(folder: Path, transcripts: list[str]) -> SpeechDataset:
    folder.mkdir()
    draws = np.random.default_rng(len(transcripts))
    rows = ["audio,transcript"]
    for index, transcript in enumerate(transcripts):
        write_audio(str(folder / f"{index}.wav"), (0.1 * draws.standard_normal(8000)).astype("f4"), 16000)
        rows.append(f"{index}.wav,{transcript}")
    (folder / "train.csv").write_text("\n".join(rows), encoding="utf-8")
    return SpeechDataset(read_manifest(str(folder / "train.csv")).utterances, VOCABULARY, AudioConfig(num_mels=256))


def test_the_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = DeepSpeech2(
        input_dim=256, num_classes=2000, use_adapter=True, adapter_hidden_dims=[512, 256], device=torch.device(DEVICE)
    )
    model.freeze_base_model()
    dim = model.encoding_dim(model.adapter_layer)
    expected = 2 * dim + (dim * 512 + 512) + (512 * 256 + 256) + (256 * dim + dim)
    assert model.count_parameters(trainable_only=True)["adapter"] == expected
    assert model.count_parameters(trainable_only=True)["total"] == expected
    assert expected < 0.1 * model.count_parameters()["base"]

    AdapterManager().save_adapter(model, "./adapters", "user_john")
    size_bytes = (tmp_path / "adapters" / "user_john_adapter.pt").stat().st_size
    assert 1e6 < size_bytes < 8e6
    AdapterManager().load_adapter(model, "./adapters/user_john_adapter.pt")
    path = "./adapters/user_john_adapter.pt"
    info = AdapterManager().get_adapter_info(path)
    assert info["adapter_name"] == "user_john"
    assert info["hidden_dims"] == [512, 256]
    assert info["num_parameters"] == expected
    assert info["size_bytes"] == size_bytes

    assert isinstance(model.adapter, MLPAdapter)
    base_before = {name: tensor.clone() for name, tensor in model.base_state().items()}
    fresh = model.adapter.output.weight.clone()
    trained = AdapterTrainer(
        optimizer=torch.optim.AdamW(model.adapter.parameters(), lr=2e-3),
        criterion=nn.CTCLoss(blank=0, zero_infinity=True),
        trainset_list=[data_set(tmp_path / "a", ["가나", "다 라", "마바"]), data_set(tmp_path / "b", ["사아", "자"])],
        validset=data_set(tmp_path / "valid", ["가 나", "바사"]),
        num_workers=4,
        device=torch.device(DEVICE),
        vocab=VOCABULARY,
        adapter_save_dir="./adapters",
    ).train(model=model, batch_size=16, epoch_time_step=1000, num_epochs=10, adapter_name="user_john")
    assert trained is model
    assert not torch.equal(model.adapter.output.weight, fresh)
    assert all(torch.equal(tensor, base_before[name]) for name, tensor in model.base_state().items())
    again = AdapterManager().load_adapter(model, "./adapters/user_john_adapter.pt")
    assert isinstance(again.adapter, MLPAdapter)
    assert not torch.equal(again.adapter.output.weight, fresh)
