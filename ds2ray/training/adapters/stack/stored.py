"""The encoded speech of a stack of users on the training device, from which every step takes its rows.

Shapes: R rows (utterances or further recordings) of a step, T frames of the longest row, N frames of all rows, D width
of the encodings, L tokens of the longest row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ds2ray.training.adapters.speech import UserSpeech


@dataclass(frozen=True)
class Rows:
    """Some recordings without padding: the frames of the first row, then those of the second, …"""

    frames: Tensor  # float32 [N, D]
    lengths: Tensor  # int64 [R]
    row_of_frame: Tensor  # int64 [N]
    place_of_frame: Tensor  # int64 [N]: where the frame lies in [R, T] padded rows, flattened
    max_length: int
    tokens: Tensor  # int64 [R, L]
    num_tokens: Tensor  # int64 [R]

    def padded(self, flat: Tensor) -> Tensor:
        """Values of the frames, [N, D], as padded rows [R, T, D]."""
        rows = flat.new_zeros(len(self.lengths) * self.max_length, flat.shape[1])
        return rows.index_copy(0, self.place_of_frame, flat).view(len(self.lengths), self.max_length, -1)


class SpeechTable:
    """All utterances and further recordings of a stack in a few tensors: a step costs a few gathers, however many rows
    it has.

    Encodings that already lie on the device are held once: in the lists of the speeches, views of the table's tensor
    take their places.

    Raises:
        ValueError: a user has nothing to train on, or nothing held out.
    """

    def __init__(self, speeches: Sequence[UserSpeech], device: torch.device) -> None:
        for speech in speeches:
            if not all(part.train for part in speech.parts) or not speech.held_out:
                raise ValueError(f"{speech.user_key} needs utterances to train on and held-out ones")
        utterances = [frames for speech in speeches for frames in speech.frames]
        tokens = [ids for speech in speeches for ids in speech.tokens]
        self.device = device
        self.lengths = [len(frames) for frames in utterances]
        self.first = [0]
        for speech in speeches:
            self.first.append(self.first[-1] + len(speech.frames))
        self._frames = torch.cat([frames.to(device, non_blocking=True) for frames in utterances])
        places = iter(self._frames.split(self.lengths))
        for speech in speeches:
            for row, frames in enumerate(speech.frames):
                view = next(places)
                if frames.device == self._frames.device:
                    speech.frames[row] = view
        self._lengths = torch.tensor(self.lengths, device=device)
        self._starts = self._lengths.cumsum(0) - self._lengths
        self._tokens = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True).to(device)
        self._num_tokens = torch.tensor([len(ids) for ids in tokens], device=device)

    def length(self, user: int, row: int) -> int:
        """Frames of a user's row."""
        return self.lengths[self.first[user] + row]

    def num_frames(self, user: int, rows: Sequence[int]) -> int:
        """Frames of some of a user's rows together."""
        return sum(self.length(user, row) for row in rows)

    def rows(self, users: Sequence[int], rows_of: Sequence[Sequence[int]]) -> Rows:
        """The rows `rows_of[i]` of user `users[i]`, in that order."""
        chosen = [self.first[user] + row for user, rows in zip(users, rows_of, strict=True) for row in rows]
        num_frames = sum(self.lengths[index] for index in chosen)
        max_length = max(self.lengths[index] for index in chosen)
        indices = torch.tensor(chosen, device=self.device)
        lengths = self._lengths[indices]
        row_of_frame = torch.arange(len(chosen), device=self.device).repeat_interleave(lengths, output_size=num_frames)
        offset = torch.arange(num_frames, device=self.device) - (lengths.cumsum(0) - lengths)[row_of_frame]
        return Rows(
            frames=self._frames[self._starts[indices][row_of_frame] + offset].float(),
            lengths=lengths,
            row_of_frame=row_of_frame,
            place_of_frame=row_of_frame * max_length + offset,
            max_length=max_length,
            tokens=self._tokens[indices],
            num_tokens=self._num_tokens[indices],
        )
