"""An implicit model as a PyTorch module. PyTorch is imported here, so that this is imported where it is asked for."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from bcd_implicit.errors import ConvergenceWarning, InvalidInputError, see
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

    def array(self) -> sp.csr_array:
        """The matrix as it is now, outside of PyTorch."""
        return sp.csr_array((_numbers(self.values), tuple(self.places.cpu().numpy())), shape=self.size)

    def matrix(self) -> Any:
        """The sparse tensor."""
        return torch.sparse_coo_tensor(self.places, self.values, self.size, is_coalesced=True, check_invariants=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sparse.mm(self.matrix(), x) if len(self.values) else x.new_zeros(self.size[0], x.shape[1])


class Equilibrium(torch.autograd.Function):
    """x = phi(W x + drive), by fixed-point iteration, with derivatives of any order by the implicit function theorem.

    For g the derivative by x, that by the drive is s v, where s = phi'(W x + drive) and v = g + W' (s v): a linear
    equilibrium, that has derivatives itself. Numbers (n, m), samples in columns; the entries of W are at ``places``,
    ``slopes`` (n, 1) are the largest of phi.
    """

    @staticmethod
    def forward(
        values: torch.Tensor, drive: torch.Tensor, places: Any, slopes: torch.Tensor, function: Function, tol: float
    ) -> torch.Tensor:
        W, shares = _square(values, places, drive), _shares(values, places, slopes, drive)
        return _fixed_point(lambda x: function(torch.sparse.mm(W, x) + drive), torch.zeros_like(drive), tol, shares)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: torch.Tensor) -> None:
        values, drive, places, _, ctx.function, ctx.tol = inputs
        ctx.save_for_backward(values, drive, places, output)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Any:
        values, drive, places, x = ctx.saved_tensors
        again = torch.is_grad_enabled()
        with torch.enable_grad():
            z = torch.sparse.mm(_square(values, places, drive), x) + drive
            z = z if again else z.detach().requires_grad_()
            (slopes,) = torch.autograd.grad(ctx.function(z).sum(), z, create_graph=again)
        by_drive = slopes * LinearEquilibrium.apply(values, slopes, g, places.flip(0), ctx.tol)
        return (by_drive @ x.T)[places[0], places[1]], by_drive, None, None, None, None


class LinearEquilibrium(torch.autograd.Function):
    """v = g + M (s v), with M and s as above. For h the derivative by v, that by g is w = h + s y, y = M' (h + s y)."""

    @staticmethod
    def forward(values: torch.Tensor, s: torch.Tensor, g: torch.Tensor, places: Any, tol: float) -> torch.Tensor:
        M, shares = _square(values, places, g), _shares(values, places, s, g)
        return _fixed_point(lambda v: g + torch.sparse.mm(M, s * v), g, tol, shares)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: torch.Tensor) -> None:
        values, s, _, places, ctx.tol = inputs
        ctx.save_for_backward(values, s, places, output)

    @staticmethod
    def backward(ctx: Any, h: torch.Tensor) -> Any:
        values, s, places, v = ctx.saved_tensors
        turned = places.flip(0)
        drive = torch.sparse.mm(_square(values, turned, h), h)
        y = LinearEquilibrium.apply(values, s, drive, turned, ctx.tol)
        w = h + s * y
        return (w @ (s * v).T)[places[0], places[1]], y * v, w, None, None


class Stage(torch.nn.Module):
    """States x = phi(before x_earlier + within x + B u + b), which depend on each other only in a cycle."""

    def __init__(
        self, before: Any, within: Any, B: Any, b: np.ndarray, function: ElementwiseFunction, tol: float
    ) -> None:
        super().__init__()
        self.before, self.B = Entries(before), Entries(B)
        self.within = Entries(within) if within.nnz else None
        self.b = torch.nn.Parameter(torch.tensor(b, dtype=torch.double))
        self.function, self.tol = _function(function), tol
        slopes = function.slopes(len(b))[:, None]
        # Without a largest slope a state is in no cycle: no matter what stands here.
        self.register_buffer("slopes", torch.from_numpy(np.where(np.isfinite(slopes), slopes, 0.0)), persistent=False)

    def forward(self, earlier: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        drive = self.before(earlier) + self.B(u) + self.b[:, None]
        if self.within is None:
            return self.function(drive)
        within = self.within
        return Equilibrium.apply(within.values, drive, within.places, self.slopes, self.function, self.tol)


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
            function = model.activation.take(states)
            stages.append(Stage(rows[:, :begin], rows[:, begin:end], B[begin:end], model.b[states], function, tol))
        self.stages = torch.nn.ModuleList(stages)
        self.C, self.D = Entries(sp.csr_array(model.C)[:, order]), Entries(model.D)
        self.d = torch.nn.Parameter(torch.tensor(model.d, dtype=torch.double))
        # What a model has besides, for the way back.
        self._order, self._activation, self._link = order, model.activation, model.link
        self._names = {"input_names": model.input_names, "output_names": model.output_names}
        self._vector_output = model.vector_output

    @property
    def n_inputs(self) -> int:
        """Number p of inputs."""
        return self.D.size[1]

    def model(
        self, *, input_names: Sequence[str] | None = None, output_names: Sequence[str] | None = None
    ) -> ImplicitModel:
        """The implicit model of the parameters as they are now, its states in the order of the first one.

        Parameters
        ----------
        input_names, output_names : sequence of str, optional
            Those of the first model by default.

        Raises
        ------
        InvalidInputError
            Parameters that are not finite, or names that do not fit.
        """
        n, end, rows = len(self._order), 0, []
        for stage in self.stages:
            k = len(stage.b)
            within = sp.csr_array((k, k)) if stage.within is None else stage.within.array()
            rows.append(sp.hstack([stage.before.array(), within, sp.csr_array((k, n - end - k))]))
            end += k
        place = np.argsort(self._order)
        return ImplicitModel(
            sp.csr_array(sp.vstack(rows))[place][:, place],
            sp.csr_array(sp.vstack([stage.B.array() for stage in self.stages]))[place],
            np.concatenate([_numbers(stage.b) for stage in self.stages])[place],
            self.C.array()[:, place],
            self.D.array(),
            _numbers(self.d),
            self._activation,
            link=self._link,
            input_names=self._names["input_names"] if input_names is None else input_names,
            output_names=self._names["output_names"] if output_names is None else output_names,
            vector_output=self._vector_output,
        )

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """Predictions (m, q) for inputs of shape (m, p), or (m, ...) that are flattened.

        Raises
        ------
        InvalidInputError
            No tensor, one of another precision, or another number of inputs.
        """
        check_tensor(u, self.d.dtype)
        p = self.n_inputs
        if not u.ndim or u[:1].numel() != p * len(u[:1]):
            raise InvalidInputError("u", f"has shape {tuple(u.shape)}", f"Give {p} inputs per sample: (m, {p})")
        inputs = u.reshape(len(u), p).T
        states = inputs.new_zeros(0, inputs.shape[1])
        for stage in self.stages:
            states = torch.cat([states, stage(states, inputs)])
        return (self.C(states) + self.D(inputs) + self.d[:, None]).T


def check_tensor(u: Any, dtype: torch.dtype) -> None:
    """Raise an error if what a module is called with is no tensor of its own kind of numbers.

    Raises
    ------
    InvalidInputError
        As said.
    """
    if not isinstance(u, torch.Tensor):
        raise InvalidInputError("u", f"is {type(u).__name__}, not a tensor", "Pass torch.from_numpy(u)")
    if u.dtype != dtype:
        raise InvalidInputError("u", f"is of {u.dtype}, the module of {dtype}", f"Pass u.to({dtype})")


def _numbers(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().double().numpy(force=True)


def _square(values: torch.Tensor, places: Any, like: torch.Tensor) -> Any:
    """The sparse matrix with these entries, of as many rows and columns as another one has rows."""
    return torch.sparse_coo_tensor(places, values, (len(like), len(like)), check_invariants=False).coalesce()


def _shares(values: torch.Tensor, places: Any, slopes: torch.Tensor, like: torch.Tensor) -> torch.Tensor | None:
    """By how much of a step to go, state by state: as far as contracts where W is well-posed by its measure alone.

    None, the whole step, where the largest sum of the sizes in a row or a column says that it contracts.
    """
    sums = (like.new_zeros(len(like)).index_add(0, index, values.abs()).max() for index in places)
    if not slopes.numel() or float(min(sums) * slopes.max()) < 1:
        return None
    on_diagonal = places[0] == places[1]
    diagonal = like.new_zeros(len(like)).index_copy(0, places[0][on_diagonal], values[on_diagonal])
    return 1 / (1 - slopes * diagonal.clamp(max=0)[:, None])


def _fixed_point(
    step: Function, x: torch.Tensor, tol: float, shares: torch.Tensor | None = None, max_steps: int = 10_000
) -> torch.Tensor:
    if not x.numel():
        return x.clone()
    for k in range(1, max_steps + 1):
        last, x = x, step(x)
        change = float((x - last).abs().max())
        if not math.isfinite(change):
            _warn(f"produced values that are not finite in step {k}", "Check that inputs and parameters are finite")
            return x
        if change <= tol * float(x.abs().max()):
            return x
        if shares is not None:
            x = torch.lerp(last, x, shares.expand_as(x))
    _warn(f"changed states by {change:.1e} in its last of {max_steps} steps", "Predict with the implicit model itself")
    return x


def _warn(what: str, remedy: str) -> None:
    message = (
        f"The fixed-point iteration {what}. {remedy}, or train with a smaller norm_bound. {see('states-are-not-found')}"
    )
    warnings.warn(message, ConvergenceWarning, stacklevel=3)


def _function(function: ElementwiseFunction) -> Function:
    """A function of states, the first axis, on tensors."""
    if isinstance(function, BlockActivation):
        parts = [_function(part) for part, _ in function.blocks]
        sizes = [size for _, size in function.blocks]
        return lambda z: torch.cat([part(x) for part, x in zip(parts, z.split(sizes), strict=True)])
    if function.name not in FUNCTIONS:
        cause = f"{function.name} has no counterpart in PyTorch"
        raise InvalidInputError("activation", cause, f"The known ones are {', '.join(FUNCTIONS)}")
    return FUNCTIONS[function.name](**function.parameters)
