"""A Conformer with CTC.

Shapes: B utterances, F feature frames, T = ⌈F/4⌉ encoding frames, M mel channels, D width of the model, V size of the
vocabulary with the blank.
"""

from typing import cast

from torch import Tensor, nn
from torchaudio.models import Conformer
from torchaudio.models.conformer import ConformerLayer

from ds2ray.model.acoustic import AcousticModel
from ds2ray.model.conformer.layers import ConformerStage, Subsampling
from ds2ray.shapes.shape import Shape


class ConformerCTC(AcousticModel):
    """Two convolutions that each halve time and frequency → Conformer layers → linear (Gulati et al., 2020).

    As in torchaudio there is no encoding of positions but what the convolutions see.

    Args:
        shape: says the settings and the width at each place.
        num_classes: size of the vocabulary with the blank.
    """

    def __init__(self, shape: Shape, num_classes: int) -> None:
        super().__init__(shape, num_classes)
        settings, width = shape.model.conformer, shape.width_at(0)
        self.subsampling = Subsampling(shape.audio.num_mels, shape.model.conv_channels, width)
        layers = Conformer(
            input_dim=width,
            num_heads=settings.num_heads,
            ffn_dim=settings.ffn_dim,
            num_layers=settings.num_layers,
            depthwise_conv_kernel_size=settings.kernel_size,
            dropout=shape.model.dropout,
        ).conformer_layers
        self.layers = nn.ModuleList(ConformerStage(cast(ConformerLayer, layer)) for layer in layers)
        self.output = nn.Linear(width, num_classes)

    @property
    def stages(self) -> nn.ModuleList:
        return self.layers

    def stem(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x, lengths = self.subsampling(features, lengths)
        return x, lengths

    def classify(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.output(x))

    def in_bfloat16(self, module: nn.Module) -> bool:
        # not the linear layer inside an attention, a subclass: attention reads its weights and does not call it
        return type(module) in (nn.Conv1d, nn.Conv2d, nn.Linear)
