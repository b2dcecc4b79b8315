"""The seam between planning and acoustic models: places for adapters, widths, frames and bytes, by arithmetic alone."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ds2ray.config import LAST_LAYER, AudioConfig, ModelConfig
from ds2ray.errors import ConfigError
from ds2ray.sound.audio import num_feature_frames

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class Shape(ABC):
    """An acoustic model seen from outside: a stem, then stages; an adapter's place is before, between or after them.

    A place is the number of stages before it. `after_layer`, as settings have it, is a place or -1 for the last.

    Attributes:
        stages_are: name of the stages in messages.
    """

    model: ModelConfig
    audio: AudioConfig

    stages_are: ClassVar[str]

    @property
    def name(self) -> str:
        """The architecture's name, as settings, base.json and model.pt have it."""
        return self.model.architecture.value

    @property
    @abstractmethod
    def time_reduction(self) -> int:
        """Feature frames per encoding frame, rounded up."""

    @property
    @abstractmethod
    def num_stages(self) -> int:
        """Stages after the stem; there is one place more for adapters."""

    @abstractmethod
    def width_at(self, place: int) -> int:
        """Width of the encodings at a place."""

    @abstractmethod
    def _values_per_frame(self, place: int, num_frames: float) -> float:
        """The most float32 values that the trunk up to `place` holds at the same time, per encoding frame of a row of
        `num_frames` frames; without the working memory inside a library."""

    def place(self, after_layer: int) -> int:
        """The number of stages before the adapter. Raises ConfigError where the model has fewer."""
        if after_layer == LAST_LAYER:
            return self.num_stages
        if not 0 <= after_layer <= self.num_stages:
            raise ConfigError(
                f"adapter.after_layer={after_layer} is not possible: the base has {self.num_stages} {self.stages_are}; "
                f"use 0 to {self.num_stages}, or -1 for the last"
            )
        return after_layer

    def width(self, after_layer: int) -> int:
        """Width of the encodings at `after_layer`. Raises ConfigError where there is no such place."""
        return self.width_at(self.place(after_layer))

    def encoding_frames(self, num_samples: int) -> int:
        """Encoding frames of a waveform: the frames that CTC aligns tokens with."""
        return -(-num_feature_frames(num_samples, self.audio) // self.time_reduction)

    @property
    def frame_s(self) -> float:
        """Seconds from one encoding frame to the next."""
        return self.time_reduction * self.audio.hop_s

    def batch_bytes(self, num_rows: int, row_s: float, after_layer: int) -> float:
        """Peak memory, in bytes, of features and trunk for a batch of `num_rows` rows of `row_s` seconds each."""
        num_frames = row_s / self.frame_s
        # features: windowed frames, their complex spectrum and its power, more often than encoding frames
        features = self.time_reduction * 3.0 * self.audio.fft_size
        most = max(features, self._values_per_frame(self.place(after_layer), num_frames))
        return FLOAT32_BYTES * most * num_frames * num_rows
