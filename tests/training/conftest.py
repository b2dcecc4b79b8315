"""A base that has learned toy speech, and users whom it does not understand well."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from base_training import make_task, train

from ds2ray.config import AugmentConfig
from ds2ray.model.weights import Base
from ds2ray.training.reports import EpochReport


@dataclass(frozen=True)
class TrainedBase:
    base: Base
    reports: list[EpochReport]


@pytest.fixture(scope="session")
def trained_base(tmp_path_factory: pytest.TempPathFactory) -> TrainedBase:
    """Trained for some seconds on voices of ordinary pitch; not to be changed."""
    folder = tmp_path_factory.mktemp("toy-base")
    augment = AugmentConfig(max_time_mask_frames=5, num_mel_masks=0, speeds=[0.95, 1.0, 1.05])
    return TrainedBase(*train(make_task(folder, num_train=64, num_epochs=20, num_valid=8, augment=augment)))


@pytest.fixture
def fresh_base(trained_base: TrainedBase) -> Callable[[], Base]:
    """Gives copies of the trained base."""
    return lambda: copy.deepcopy(trained_base.base)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in the order in which the programs of these tests make them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
