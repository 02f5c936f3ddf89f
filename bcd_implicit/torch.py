"""Models as layers of PyTorch, which is optional: it is imported when a name of this module is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bcd_implicit.networks.from_torch import torch_or_error

if TYPE_CHECKING:
    from bcd_implicit.networks.pytorch.implicit_layer import ImplicitLayer

__all__ = ["ImplicitLayer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    torch_or_error(f"bi.torch.{name}")
    from bcd_implicit.networks.pytorch import implicit_layer

    return getattr(implicit_layer, name)


def __dir__() -> list[str]:
    return __all__
