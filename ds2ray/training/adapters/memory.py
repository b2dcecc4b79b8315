"""How much of a GPU's memory a process may still take, and how much audio a call of the trunk has room for in it.

Trials share a GPU, each with a fraction of its own.
"""

import torch
from torch import nn

from ds2ray.model.layers import TIME_REDUCTION, RecurrentLayer
from ds2ray.model.weights import Base
from ds2ray.sound.features import LogMel

CPU_BATCH_S = 60.0
"""Seconds of audio per call of the trunk on a CPU: more at a time is no faster there."""

MAX_BATCH_S = 3600.0
"""Seconds of audio per call on a GPU: a recurrence has rows enough by then, and reading has to come first."""

TRUNK_SHARE = 0.25
"""Share of the GPU memory left to this process that a call of the trunk may take, beside the encodings."""

SAFETY = 2.0
"""Memory in use per byte counted: workspaces of cuDNN, bfloat16 copies and gaps between blocks are not counted."""


def memory_left(device: torch.device) -> float:
    """Bytes that this process can still put on a GPU."""
    index = torch.cuda.current_device() if device.index is None else device.index
    free, total = torch.cuda.mem_get_info(index)
    reserved = torch.cuda.memory_reserved(index)
    allowed = torch.cuda.get_per_process_memory_fraction(index) * total
    # torch keeps the memory of freed tensors for new ones: between two cohorts that is most of this process's share
    unused = reserved - torch.cuda.memory_allocated(index)
    return unused + max(0.0, min(free, allowed - reserved))


def auto_batch_s(base: Base, after_layer: int, device: torch.device) -> float:
    """Seconds of padded audio for a call of the trunk.

    A GPU spends about as long on a few rows as on hundreds, so there it gets what memory allows.
    """
    if device.type != "cuda":
        return CPU_BATCH_S
    seconds = TRUNK_SHARE * memory_left(device) / (SAFETY * trunk_bytes_per_s(base, after_layer))
    return min(MAX_BATCH_S, max(CPU_BATCH_S, seconds))


def trunk_bytes_per_s(base: Base, after_layer: int) -> float:
    """Memory that log-mel features and trunk take per second of padded audio, where they take the most.

    Counts the float32 values per encoding frame that are there at the same time, without what a library takes inside.
    """
    # features: windowed frames, their complex spectrum and its power, twice as often as encoding frames
    most = TIME_REDUCTION * 3.0 * LogMel(base.audio).mel.n_fft
    height = base.audio.num_mels
    for conv in base.model.conv.convs:
        assert isinstance(conv, nn.Conv2d)
        # a convolution's output, masked, scaled and shifted, each a tensor of its own; before them its input
        inputs = conv.in_channels * height
        height = (height + conv.stride[0] - 1) // conv.stride[0]
        most = max(most, 4.0 * conv.out_channels * height, inputs + 2.0 * conv.out_channels * height)
    for layer in list(base.model.rnn_layers)[: base.model.layer_index(after_layer)]:
        assert isinstance(layer, RecurrentLayer)
        rnn = layer.forward_rnn
        # the input, normalised, masked and reversed; the gates of a direction; its output, reversed, joined and masked
        gates = rnn.all_weights[0][0].shape[0]
        most = max(most, 4.0 * rnn.input_size + gates + 2.0 * rnn.hidden_size + 2.0 * layer.output_dim)
    return 4.0 * most / (TIME_REDUCTION * base.audio.hop_s)
