"""The public layout of DeepSpeech2, as KoSpeech, OpenSpeech and deepspeech.pytorch have it, to train beside ours.

It is written anew from its description. Recurrent layers are modules of one layer each, in both directions, with batch
norm and a rectifier before them and packing and unpacking around them. After every module of the front end, padding is
masked by a mask of the activations' own shape, made row by row on the host. Batch norm counts padding, too. All is
float32.

Shapes: B utterances, F feature frames, T = ⌈F/2⌉ encoding frames, M mel channels, V size of the vocabulary.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ds2ray.batching.batches import Batch
from ds2ray.config import AudioConfig, AugmentConfig, ModelConfig, TrainConfig
from ds2ray.model.deepspeech2.layers import RNN_CLASSES
from ds2ray.sound.features import LogMel, spec_augment


class PublicDeepSpeech2(nn.Module):
    """The public layout, with the layers and widths of `ds2ray.model.deepspeech2.DeepSpeech2`."""

    def __init__(self, config: ModelConfig, num_mels: int, num_classes: int) -> None:
        super().__init__()
        channels = config.conv_channels
        self.front_end = nn.ModuleList([
            nn.Conv2d(1, channels, (41, 11), stride=(2, 2), padding=(20, 5), bias=False),
            nn.BatchNorm2d(channels),
            nn.Hardtanh(0, 20),
            nn.Conv2d(channels, channels, (21, 11), stride=(2, 1), padding=(10, 5), bias=False),
            nn.BatchNorm2d(channels),
            nn.Hardtanh(0, 20),
        ])  # fmt: skip
        width = channels * ((num_mels + 3) // 4)
        self.layers = nn.ModuleList()
        for _ in range(config.num_rnn_layers):
            self.layers.append(PackedLayer(width, config))
            width = config.rnn_hidden_dim * (2 if config.bidirectional else 1)
        self.output = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, num_classes, bias=False))

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """features [B, F, M], longest row first, and lengths [B] → log-probabilities [B, T, V], lengths [B]."""
        lengths = (lengths + 1) // 2
        x = features.transpose(1, 2).unsqueeze(1)
        for module in self.front_end:
            x = module(x)
            x = x.masked_fill(padding_mask(x, lengths), 0)
        x = x.flatten(1, 2).transpose(1, 2)
        for layer in self.layers:
            x = layer(x, lengths)
        return torch.log_softmax(self.output(x), dim=2), lengths


def padding_mask(x: Tensor, lengths: Tensor) -> Tensor:
    """bool, of the shape of x [B, C, M, T]: true after each row's end."""
    mask = torch.zeros(x.shape, dtype=torch.bool)
    for row, length in enumerate(lengths):
        mask[row, :, :, length.item() :] = True
    return mask.to(x.device)


class PackedLayer(nn.Module):
    """Batch norm over all frames, a rectifier, and one recurrent layer on packed sequences."""

    def __init__(self, input_dim: int, config: ModelConfig) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(input_dim)
        self.rnn = RNN_CLASSES[config.rnn_type](
            input_dim, config.rnn_hidden_dim, batch_first=True, bidirectional=config.bidirectional
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """[B, T, input_dim], longest row first, and lengths [B] → [B, T, width]."""
        num_frames = x.shape[1]
        x = torch.relu(self.norm(x.transpose(1, 2))).transpose(1, 2)
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True)
        x, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=num_frames)
        dropped: Tensor = self.dropout(x)
        return dropped


class PublicTraining:
    """Training steps as these implementations make them: features and masking on the device, CTC, clipping, Adam."""

    def __init__(
        self, model: ModelConfig, audio: AudioConfig, num_classes: int, config: TrainConfig, device: torch.device
    ) -> None:
        self.model = PublicDeepSpeech2(model, audio.num_mels, num_classes).to(device).train()
        self.log_mel = LogMel(audio).to(device)
        self.augment: AugmentConfig = config.augment
        self.max_grad_norm, self.device = config.max_grad_norm, device
        self.criterion = nn.CTCLoss(blank=0, zero_infinity=True)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=config.learning_rate)

    def step(self, batch: Batch) -> float:
        """Train one step on a batch whose longest utterance comes first; returns the loss."""
        batch = batch.to(self.device)
        features, lengths = self.log_mel(batch.waveforms, batch.num_samples)
        features = spec_augment(features, lengths, self.augment)
        log_probs, lengths = self.model(features, lengths)
        loss = self.criterion(log_probs.transpose(0, 1), batch.tokens, lengths, batch.num_tokens)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.max_grad_norm)
        self.optimizer.step()
        return float(loss.item())
