"""Implicit models as modules of PyTorch."""

from __future__ import annotations

from typing import Any

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model import ImplicitModel
from bcd_implicit.networks.from_torch import torch_or_error


def to_torch(model: ImplicitModel) -> Any:
    """A PyTorch module that predicts what an implicit model does, in double precision and with gradients.

    Its parameters are the entries of A, B, C and D that are not zero, and b and d, so that it keeps the model's pattern
    when it is trained. It does not know that weights of a convolution were shared, nor which layers they came from, and
    it gives predictions, not what ``link`` makes of them. States in cycles are found by fixed-point iteration, which
    training can spoil: nothing here keeps the spectral radius of ``|A|`` below 1. Derivatives of any order are right.
    :func:`~bcd_implicit.from_torch` makes a model of the module again, with the parameters that it has by then.

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
        PyTorch is missing; no model; a function of states that PyTorch does not have.
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
