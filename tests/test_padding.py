import torch

from ds2ray.padding import frame_mask


def test_frame_mask() -> None:
    assert frame_mask(torch.tensor([2, 0]), 3).tolist() == [[True, True, False], [False, False, False]]
