"""The shape of a Conformer."""

from dataclasses import dataclass

from ds2ray.shapes.shape import Shape


@dataclass(frozen=True)
class ConformerShape(Shape):
    """Two convolutions that each halve time and frequency, then Conformer layers of one width."""

    stages_are = "Conformer layers"

    @property
    def time_reduction(self) -> int:
        return 4

    @property
    def num_stages(self) -> int:
        return self.model.conformer.num_layers

    def width_at(self, place: int) -> int:
        return self.model.conformer.width

    def _values_per_frame(self, place: int, num_frames: float) -> float:
        # the first convolution's output has twice the frames and half the mel channels: before and after its mask
        most = 2.0 * 2 * self.model.conv_channels * ((self.audio.num_mels + 1) // 2)
        if place:
            own = self.model.conformer
            # attention compares each frame with all of its row: scores and their softmax, beside queries, keys, values
            attention = 6.0 * own.width + 2.0 * own.num_heads * num_frames
            most = max(most, attention, 3.0 * own.width + 2.0 * own.ffn_dim, 7.0 * own.width)
        return most
