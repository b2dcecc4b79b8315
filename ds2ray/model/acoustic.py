"""The seam between acoustic models and the code that trains and uses them: a stem, stages with places for adapters
between them, and a classifier that turns the last stage's output into scores of tokens.

Shapes: B utterances, S samples, F feature frames, M mel channels, T encoding frames, D width of the encodings at a
place, V size of the vocabulary with the blank.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from ds2ray.config import LAST_LAYER, AdapterConfig
from ds2ray.model.adapters.adapter import Adapter
from ds2ray.model.adapters.kinds import build_adapter
from ds2ray.model.adapters.rows import RowAdapter, RowAdapters
from ds2ray.padding import frame_mask
from ds2ray.shapes.shape import Shape
from ds2ray.sound.features import LogMel

ADAPTER_PREFIX = "adapter."


class AcousticModel(nn.Module, ABC):
    """Features → stem → stages → log-probabilities for CTC (blank id 0), with an optional adapter at one place.

    The *trunk* is everything before the adapter, the *head* everything after it. A subclass has `stages`, `stem` and
    `classify`, which must let padding change no row: the outputs of stem and stages are zero after a row's end, and
    stages in evaluation mode ignore their input there.

    Attributes:
        shape: the model's sizes by arithmetic alone, with its settings and those of its features.
        num_classes: size of the vocabulary with the blank.
        adapter: the adapter that is trained or used; None: the base alone.
        adapter_enabled: whether `forward` uses the adapter.
        adapter_layer: place of the adapter: the number of stages before it.
        bfloat16_in: classes of modules that may compute in bfloat16 while frozen; see `in_bfloat16`.
        same_in_any_batch: whether a CPU rounds a row of the stages alike, forward and backward, in batches of any size
            that is a multiple of 4.
    """

    bfloat16_in: ClassVar[tuple[type[nn.Module], ...]] = ()
    same_in_any_batch: ClassVar[bool] = False

    def __init__(self, shape: Shape, num_classes: int) -> None:
        super().__init__()
        self.shape, self.num_classes = shape, num_classes
        self.adapter: Adapter | None = None
        self.adapter_enabled = True
        self.base_frozen = False
        self.adapter_layer = shape.place(AdapterConfig.after_layer)
        self._log_mel: list[LogMel] = []  # in a list, so that its windows and filters are no weights of the model

    @property
    @abstractmethod
    def stages(self) -> nn.ModuleList:
        """Modules (x [B, T, D], lengths int64 [B]) → x [B, T, D'], as many as the shape has."""

    @abstractmethod
    def stem(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The layers before the first stage: features [B, F, M] and lengths [B] → [B, T, D] and lengths [B]."""

    @abstractmethod
    def classify(self, x: Tensor) -> Tensor:
        """The layers after the last stage, frame by frame: [B, T, D] → scores of the tokens [B, T, V]."""

    def features(self, waveforms: Tensor, num_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Waveforms float32 [B, S], zero after each row's end, and their lengths [B] → features [B, F, M] and lengths
        [B], on the device of the waveforms."""
        if not self._log_mel or self._log_mel[0].config != self.shape.audio:
            self._log_mel = [LogMel(self.shape.audio)]
        features, lengths = self._log_mel[0].to(waveforms.device)(waveforms, num_samples)
        return features, lengths

    def in_bfloat16(self, module: nn.Module) -> bool:
        """Whether a module of a frozen model may keep its weights and compute in bfloat16."""
        return isinstance(module, self.bfloat16_in)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.parameters()).device

    def layer_index(self, after_layer: int) -> int:
        """The number of stages before the adapter. Raises ConfigError where the model has fewer."""
        return self.shape.place(after_layer)

    def is_last(self, after_layer: int) -> bool:
        """Whether no stage follows: the head then works frame by frame."""
        return self.layer_index(after_layer) == self.shape.num_stages

    def encoding_dim(self, after_layer: int = LAST_LAYER) -> int:
        """D: the width of the encodings after a stage."""
        return self.shape.width(after_layer)

    def add_adapter(self, config: AdapterConfig) -> None:
        """Put a fresh adapter into the model; it replaces the one before."""
        self.adapter_layer = self.layer_index(config.after_layer)
        adapter = build_adapter(self.encoding_dim(config.after_layer), config)
        self.adapter = adapter.to(self.device)

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            features: float32 [B, F, M], zero after each row's end.
            lengths: int64 [B], feature frames.

        Returns:
            log-probabilities [B, T, V] and their lengths int64 [B].
        """
        encodings, lengths = self.trunk(features, lengths)
        if self.adapter is not None and self.adapter_enabled:
            encodings = self.adapter(encodings) * frame_mask(lengths, encodings.shape[1]).unsqueeze(2).float()
        return self.head(encodings, lengths), lengths

    def forward_rows(
        self, features: Tensor, lengths: Tensor, adapters: Sequence[RowAdapter], adapt: RowAdapters | None = None
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities and lengths as of `forward` in evaluation mode, with an adapter per row, in one pass.

        Args:
            adapters: rows in none of them pass the base alone.
            adapt: applies them; one that serves many batches keeps the stacks of users that return.
        """
        adapt = adapt or RowAdapters()
        x, lengths = self.stem(features, lengths)
        for place in range(len(self.stages) + 1):
            if place > 0:
                x = self.stages[place - 1](x, lengths)
            x = adapt(x, [one for one in adapters if self.layer_index(one.after_layer) == place])
        return self.head(x, lengths, after_layer=LAST_LAYER), lengths

    def trunk(self, features: Tensor, lengths: Tensor, after_layer: int | None = None) -> tuple[Tensor, Tensor]:
        """The trunk up to the adapter (or `after_layer`): encodings [B, T, D] and their lengths [B]."""
        end = self.adapter_layer if after_layer is None else self.layer_index(after_layer)
        x, lengths = self.stem(features, lengths)
        for stage in self.stages[:end]:
            x = stage(x, lengths)
        return x, lengths

    def head(self, encodings: Tensor, lengths: Tensor, after_layer: int | None = None) -> Tensor:
        """The head from the adapter (or `after_layer`) on: encodings [B, T, D] → log-probabilities [B, T, V].

        Frames after a row's end do not change those before it while the head is in evaluation mode.
        """
        start = self.adapter_layer if after_layer is None else self.layer_index(after_layer)
        x = encodings
        for stage in self.stages[start:]:
            x = stage(x, lengths)
        return torch.log_softmax(self.classify(x).float(), dim=2)

    def freeze_base_model(self) -> None:
        """Freeze the base: it gets no gradients and stays in evaluation mode, so that only the adapter trains."""
        self.base_frozen = True
        for parameter in self.base_parameters():
            parameter.requires_grad_(False)
        self.train(self.training)

    def unfreeze_base_model(self) -> None:
        """Undo `freeze_base_model`."""
        self.base_frozen = False
        for parameter in self.base_parameters():
            parameter.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode, as of any module, but keep a frozen base in evaluation mode."""
        super().train(mode)
        if self.base_frozen:
            for name, module in self.named_children():
                if name != "adapter":
                    module.eval()
            for module in self.stages.modules():
                # cuDNN computes gradients through a recurrence only in training mode; it has no dropout or
                # statistics of its own, so its mode changes nothing else
                if isinstance(module, nn.RNNBase):
                    module.train(mode)
        return self

    def base_parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of everything but the adapter."""
        return (p for name, p in self.named_parameters() if not name.startswith(ADAPTER_PREFIX))

    def base_state(self) -> dict[str, Tensor]:
        """The state dict of everything but the adapter."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith(ADAPTER_PREFIX)}

    def count_parameters(self, trainable_only: bool = False) -> dict[str, int]:
        """Numbers of parameters: of the `base`, of the `adapter`, and in `total`."""
        counts = {"base": 0, "adapter": 0}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad or not trainable_only:
                counts["adapter" if name.startswith(ADAPTER_PREFIX) else "base"] += parameter.numel()
        return {**counts, "total": sum(counts.values())}
