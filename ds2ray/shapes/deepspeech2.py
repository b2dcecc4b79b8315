"""The shape of DeepSpeech2."""

from dataclasses import dataclass

from ds2ray.config import RnnType
from ds2ray.shapes.shape import Shape

GATES = {RnnType.gru: 3, RnnType.lstm: 4, RnnType.rnn: 1}
"""Gates of a recurrent cell: matrix products per frame, each as wide as the cell's output."""


@dataclass(frozen=True)
class DeepSpeech2Shape(Shape):
    """Two convolutions that halve the mel channels, of which the first or both halve time; then recurrent layers."""

    stages_are = "recurrent layers"

    @property
    def time_reduction(self) -> int:
        return self.model.time_stride

    @property
    def num_stages(self) -> int:
        return self.model.num_rnn_layers

    def width_at(self, place: int) -> int:
        if place == 0:
            return self.model.conv_channels * self._heights()[-1]
        return self.model.rnn_hidden_dim * (2 if self.model.bidirectional else 1)

    def _heights(self) -> list[int]:
        """Channels over frequency: of the features, and after each convolution."""
        heights = [self.audio.num_mels]
        for _ in range(2):
            heights.append((heights[-1] + 1) // 2)
        return heights

    def _values_per_frame(self, place: int, num_frames: float) -> float:
        channels, hidden, most, inputs = self.model.conv_channels, self.model.rnn_hidden_dim, 0.0, 1
        # between the convolutions there are as many frames for each of the encodings as the second makes one of
        between = self.model.time_stride // 2
        for before, after, frames in zip(self._heights(), self._heights()[1:], (between, 1), strict=False):
            # a convolution's output, masked, scaled and shifted, each a tensor of its own; before them its input
            output = channels * after * frames
            most = max(most, 4.0 * output, between * inputs * before + 2.0 * output)
            inputs = channels
        for stage in range(place):
            # the input, normalised, masked and reversed; a direction's gates; its output, reversed, joined and masked
            gates = GATES[self.model.rnn_type] * hidden
            most = max(most, 4.0 * self.width_at(stage) + gates + 2.0 * hidden + 2.0 * self.width_at(stage + 1))
        return most
