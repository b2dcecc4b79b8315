"""The jobs' settings as OmegaConf types them."""

from typing import Any

from omegaconf import DictConfig, OmegaConf


def open_schema(schema: type) -> DictConfig:
    """The typed settings of a frozen dataclass, whose values overrides may change, as OmegaConf by itself refuses."""
    config: DictConfig = OmegaConf.structured(schema)
    _unlock(config)
    return config


def _unlock(config: DictConfig) -> None:
    OmegaConf.set_readonly(config, None)
    sections: list[Any] = [config[name] for name in config if OmegaConf.is_dict(config[name])]
    for section in sections:
        _unlock(section)
