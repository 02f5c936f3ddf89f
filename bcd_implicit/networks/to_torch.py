"""Implicit models as modules of PyTorch."""

from __future__ import annotations

from typing import Any

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model import ImplicitModel
from bcd_implicit.networks.from_torch import torch_or_error


def to_torch(model: ImplicitModel) -> Any:
    """A PyTorch module with the predictions of an implicit model, in double precision and with gradients.

    Its parameters are the nonzero entries of A, B, C and D, and b and d, so that training keeps the model's pattern. It
    does not know that weights of a convolution were shared, or which layers they came from. It returns predictions,
    without applying ``link``. States in cycles are computed by fixed-point iteration. Training can make this diverge,
    because nothing here keeps the spectral radius of ``|A|`` below 1. Derivatives of any order are correct.
    :func:`~bcd_implicit.from_torch` converts the module, with its current parameters, back to a model.

    Parameters
    ----------
    model : ImplicitModel

    Returns
    -------
    torch.nn.Module
        From inputs (m, p), or (m, ...) that are flattened, to predictions (m, q).

    Raises
    ------
    InvalidInputError
        PyTorch is missing; the argument is not a model; or PyTorch does not have a state's function.
    NotWellPosedError
        The model is not well-posed.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import bcd_implicit as bi
    >>> model = bi.ImplicitModel([[0.5]], [[1.0]], None, [[1.0]])
    >>> net = bi.to_torch(model)
    >>> round(net(torch.tensor([[1.0]], dtype=torch.double)).item(), 12)
    2.0
    """
    torch_or_error("to_torch")
    if not isinstance(model, ImplicitModel):
        raise InvalidInputError("model", f"is {type(model).__name__}, not an ImplicitModel", "Pass a model")
    # Where it is asked for: the module needs PyTorch.
    from bcd_implicit.networks.pytorch.module import ImplicitModule

    return ImplicitModule(model)
