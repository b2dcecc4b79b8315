"""Adapters as single files."""

from pathlib import Path

import pytest
import torch
from tiny_base import make_base

from ds2ray.compat.adapter_manager import AdapterManager
from ds2ray.config import AdapterConfig
from ds2ray.errors import BaseMismatchError, InputError
from ds2ray.model.adapters.mlp import MLPAdapter


@pytest.mark.parametrize("name", ["", " ", "../john", "a/b"])
def test_adapter_names_stay_in_their_folder(tmp_path: Path, name: str) -> None:
    base = make_base()
    base.model.add_adapter(AdapterConfig(hidden_dims=[5], after_layer=-1))
    with pytest.raises(InputError, match="adapter name"):
        AdapterManager().save_adapter(base.model, str(tmp_path), name)


def test_adapter_files(tmp_path: Path) -> None:
    base = make_base()
    base.model.add_adapter(AdapterConfig(hidden_dims=[5, 4], after_layer=0, dropout=0.0))
    assert isinstance(base.model.adapter, MLPAdapter)
    torch.nn.init.normal_(base.model.adapter.output.weight)
    path = AdapterManager().save_adapter(base.model, str(tmp_path), "john")
    assert Path(path).name == "john_adapter.pt"
    fresh = make_base().model
    AdapterManager().load_adapter(fresh, path)
    assert isinstance(fresh.adapter, MLPAdapter)
    assert torch.equal(fresh.adapter.output.weight, base.model.adapter.output.weight)
    assert fresh.adapter_layer == 0
    info = AdapterManager().get_adapter_info(path)
    assert info["adapter_name"] == "john"
    assert info["hidden_dims"] == [5, 4]
    assert info["num_parameters"] == base.model.count_parameters()["adapter"]
    with pytest.raises(BaseMismatchError, match="load that base"):
        AdapterManager().load_adapter(make_base(seed=1).model, path)
    with pytest.raises(InputError, match="has none"):
        AdapterManager().save_adapter(make_base().model, str(tmp_path), "john")
