"""The Conformer: convolutions and layers of attention."""

from ds2ray.model.conformer.model import ConformerCTC

__all__ = ["ConformerCTC"]
