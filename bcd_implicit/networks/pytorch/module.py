"""An implicit model as a PyTorch module. PyTorch is imported here, so that this is imported where it is asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from bcd_implicit.errors import ConvergenceWarning, InvalidInputError
from bcd_implicit.model import ImplicitModel
from bcd_implicit.terms.block_activation import BlockActivation
from bcd_implicit.terms.function import ElementwiseFunction

Function = Callable[[torch.Tensor], torch.Tensor]
nn = torch.nn.functional

#: By name, from a function's parameters to the same on tensors.
FUNCTIONS: dict[str, Callable[..., Function]] = {
    "relu": lambda: nn.relu,
    "leaky_relu": lambda slope: lambda z: nn.leaky_relu(z, slope),
    "clip": lambda: nn.hardtanh,
    "identity": lambda: lambda z: z,
    "soft_threshold": lambda threshold: lambda z: nn.softshrink(z, threshold),
    "tanh": lambda: torch.tanh,
    "sigmoid": lambda: torch.sigmoid,
    # torch's own takes z itself from 20 on.
    "softplus": lambda: lambda z: torch.logaddexp(z, torch.zeros_like(z)),
    "elu": lambda: nn.elu,
    "arctan": lambda: torch.atan,
    "softsign": lambda: nn.softsign,
    "square": lambda: torch.square,
    "abs": lambda: torch.abs,
}


class Entries(torch.nn.Module):
    """A sparse matrix whose entries are a parameter: the product with it, samples in columns.

    Parameters
    ----------
    matrix : ndarray or sparse array
        Entries that are zero stay zero.
    """

    def __init__(self, matrix: Any) -> None:
        super().__init__()
        rows = sp.csr_array(matrix, copy=True)
        # In order, row by row: the sparse tensor says that they are.
        rows.sum_duplicates()
        rows.eliminate_zeros()
        entries = rows.tocoo()
        self.size = tuple(int(length) for length in entries.shape)
        self.values = torch.nn.Parameter(torch.tensor(entries.data, dtype=torch.double))
        places = np.stack([entries.row, entries.col]).astype(np.int64)
        self.register_buffer("places", torch.from_numpy(places))

    def matrix(self) -> Any:
        """The sparse tensor."""
        return torch.sparse_coo_tensor(self.places, self.values, self.size, is_coalesced=True, check_invariants=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sparse.mm(self.matrix(), x) if len(self.values) else x.new_zeros(self.size[0], x.shape[1])


class Stage(torch.nn.Module):
    """States x = phi(before x_earlier + within x + B u + b), which depend on each other only in a cycle."""

    def __init__(self, before: Any, within: Any, B: Any, b: np.ndarray, function: Function, tol: float) -> None:
        super().__init__()
        self.before, self.B = Entries(before), Entries(B)
        self.within = Entries(within) if within.nnz else None
        self.b = torch.nn.Parameter(torch.tensor(b, dtype=torch.double))
        self.function, self.tol = function, tol

    def forward(self, earlier: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        drive = self.before(earlier) + self.B(u) + self.b[:, None]
        return self.function(drive) if self.within is None else self._equilibrium(drive)

    def _equilibrium(self, drive: torch.Tensor) -> torch.Tensor:
        within, function = self.within, self.function
        assert within is not None
        with torch.no_grad():
            x = _fixed_point(lambda x: function(within(x) + drive), torch.zeros_like(drive), self.tol)
        if not torch.is_grad_enabled():
            return x
        # By the implicit function theorem: one step that gradients go through, and the rest of the chain as a hook.
        start = x.detach().requires_grad_()
        step = function(torch.sparse.mm(within.matrix().detach(), start) + drive.detach())
        x = function(within(x) + drive)

        def adjoint(given: torch.Tensor) -> torch.Tensor:
            def once(g: torch.Tensor) -> torch.Tensor:
                return torch.autograd.grad(step, start, g, retain_graph=True)[0] + given

            return _fixed_point(once, given, self.tol)

        if x.requires_grad:
            x.register_hook(adjoint)
        return x


class ImplicitModule(torch.nn.Module):
    """The predictions y = Cx + Du + d of an implicit model, in double precision and with gradients.

    Parameters are the entries of A, B, C and D that are not zero, and b and d. States are found stage by stage, those
    of a cycle by fixed-point iteration, and gradients through a cycle by the implicit function theorem.

    Parameters
    ----------
    model : ImplicitModel
    tol : float
        Fixed-point iterations end where the last step is below this, relative to the largest state.
    """

    def __init__(self, model: ImplicitModel, tol: float = 1e-14) -> None:
        super().__init__()
        structure = model.structure()
        structure.check()
        order = np.argsort(structure.level, kind="stable")
        ends = np.cumsum(np.bincount(structure.level))
        A, B = sp.csr_array(model.A)[order][:, order], sp.csr_array(model.B)[order]
        stages = []
        for begin, end in zip([0, *ends[:-1]], ends, strict=True):
            rows, states = A[begin:end], order[begin:end]
            function = _function(model.activation.take(states))
            stages.append(Stage(rows[:, :begin], rows[:, begin:end], B[begin:end], model.b[states], function, tol))
        self.stages = torch.nn.ModuleList(stages)
        self.C, self.D = Entries(sp.csr_array(model.C)[:, order]), Entries(model.D)
        self.d = torch.nn.Parameter(torch.tensor(model.d, dtype=torch.double))

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """Predictions (m, q) for inputs of shape (m, p), or (m, ...) that are flattened."""
        inputs = u.reshape(len(u), -1).T
        states = inputs.new_zeros(0, inputs.shape[1])
        for stage in self.stages:
            states = torch.cat([states, stage(states, inputs)])
        return (self.C(states) + self.D(inputs) + self.d[:, None]).T


def _fixed_point(step: Function, x: torch.Tensor, tol: float, max_steps: int = 10_000) -> torch.Tensor:
    for _ in range(max_steps):
        last, x = x, step(x)
        if (x - last).abs().max() <= tol * x.abs().max():
            return x
    warnings.warn(
        f"The fixed-point iteration changed states by {float((x - last).abs().max()):.1e} in its last of {max_steps} "
        "steps. Train with a smaller norm_bound, or predict with the implicit model itself.",
        ConvergenceWarning,
        stacklevel=2,
    )
    return x


def _function(function: ElementwiseFunction) -> Function:
    """A function of states, the first axis, on tensors."""
    if isinstance(function, BlockActivation):
        parts = [_function(part) for part, _ in function.blocks]
        sizes = [size for _, size in function.blocks]
        return lambda z: torch.cat([part(x) for part, x in zip(parts, z.split(sizes), strict=True)])
    if function.name not in FUNCTIONS:
        cause = f"{function.name} has no counterpart in PyTorch here"
        raise InvalidInputError("activation", cause, f"Known are {', '.join(FUNCTIONS)}")
    return FUNCTIONS[function.name](**function.parameters)
