"""A model as a layer that PyTorch trains. PyTorch is imported here, so that this is imported where it is asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from bcd_implicit.errors import InvalidInputError, NotWellPosedError, check_choice
from bcd_implicit.model import ImplicitModel
from bcd_implicit.model.derivatives import GOOD_STATES, adjoint_terms
from bcd_implicit.model.storage import LETTERS
from bcd_implicit.networks.pytorch.module import check_tensor
from bcd_implicit.support.checks import check_number
from bcd_implicit.terms.projections import NONE, project_l1_rows
from bcd_implicit.terms.row_sets import WELL_POSEDNESS


class Prediction(torch.autograd.Function):
    """The model's predictions for inputs (m, p), with its adjoint states for the way back.

    The model is that of the parameters in forward: a step of an optimizer in between changes no gradient.
    """

    @staticmethod
    def forward(ctx: Any, layer: ImplicitLayer, u: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        model = layer.model()
        U = u.detach().double().numpy(force=True)
        try:
            states = model.states(U, tol=GOOD_STATES)
        except NotWellPosedError as error:
            remedy = "In training, call the layer's project_() after each step of the optimizer."
            raise NotWellPosedError(f"{error} {remedy}") from None
        ctx.save_for_backward(u, *parameters)
        ctx.found, ctx.how = (model, states), {"method": layer.gradient, "n_terms": layer.n_terms}
        return torch.from_numpy(states.X @ model.C.T + U @ model.D.T + model.d).to(u)

    @staticmethod
    def backward(ctx: Any, weights: torch.Tensor) -> Any:
        # PyTorch's own mark, once_differentiable, lets a second derivative pass as zero where weights are constants.
        if torch.is_grad_enabled():
            cause = "asks for derivatives of gradients, which an ImplicitLayer does not have"
            raise InvalidInputError("create_graph", cause, "Use bi.to_torch(layer.model()), which has them")
        u, *parameters = ctx.saved_tensors
        model, states = ctx.found
        gradient = model.vjp(u, weights, states=states, **ctx.how)
        # Each is computed where it is asked for.
        letters = zip(("U", *LETTERS), (u, *parameters), ctx.needs_input_grad[1:], strict=True)
        return None, *(torch.from_numpy(getattr(gradient, k)).to(like) if asked else None for k, like, asked in letters)


class ImplicitLayer(torch.nn.Module):
    """A layer of PyTorch that gives the predictions y = Cx + Du + d of an implicit model x = phi(Ax + Bu + b).

    Its parameters are the model's whole matrices, ``A``, ``B``, ``b``, ``C``, ``D`` and ``d``. The library finds the
    equilibrium, with its bound on the error, and the gradients by adjoint states: in double precision and on the
    processor, whatever the layer's own numbers and device are. Any function of states will do, your own too. Gradients
    are those of the parameters that the predictions were made with. They have no derivatives themselves, and
    ``create_graph=True`` is refused: :func:`~bcd_implicit.to_torch` makes a module that has them, and that keeps a
    model's zeros.

    A step of an optimizer may spoil the equilibrium: call :meth:`project_` after each.

    Parameters
    ----------
    model : ImplicitModel
        Well-posed, with dense matrices. Its values are copied, in double precision.
    gradient : {"exact", "jacobian-free", "neumann"}
        As ``method`` of :meth:`~bcd_implicit.model.derivatives.Derivatives.vjp`.
    n_terms : int
        Of "neumann" alone.

    Attributes
    ----------
    A, B, b, C, D, d : torch.nn.Parameter
    gradient : str
    n_terms : int

    Raises
    ------
    InvalidInputError
        No model, or one with sparse matrices; another gradient, no number of terms.
    NotWellPosedError
        The model is not well-posed.

    Examples
    --------
    >>> import torch
    >>> import bcd_implicit as bi
    >>> model = bi.ImplicitModel([[0.5]], [[1.0]], None, [[1.0]])
    >>> layer = bi.torch.ImplicitLayer(model)
    >>> optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    >>> (layer(torch.ones(1, 1, dtype=torch.double)) ** 2).sum().backward()
    >>> round(layer.A.grad.item(), 9)
    16.0
    >>> optimizer.step()
    >>> layer.project_(0.9).model().norm_inf()
    0.9
    """

    def __init__(self, model: ImplicitModel, *, gradient: str = "exact", n_terms: int = 5) -> None:
        super().__init__()
        if not isinstance(model, ImplicitModel):
            raise InvalidInputError("model", f"is {type(model).__name__}, not an ImplicitModel", "Pass a model")
        sparse = [letter for letter in LETTERS if sp.issparse(getattr(model, letter))]
        if sparse:
            cause = f"has sparse matrices ({', '.join(sparse)}), and the layer would also train their zeros"
            raise InvalidInputError("model", cause, "Use bi.to_torch, which keeps them, or make the matrices dense")
        model.structure().check()
        adjoint_terms(gradient, n_terms, "gradient")
        self.gradient, self.n_terms = gradient, n_terms
        for letter in LETTERS:
            self.register_parameter(letter, torch.nn.Parameter(torch.tensor(getattr(model, letter))))
        # What a model has besides, for the way back.
        self._kept = {
            k: getattr(model, k) for k in ("activation", "link", "input_names", "output_names", "vector_output")
        }

    @property
    def n_inputs(self) -> int:
        """Number p of inputs."""
        return int(self.B.shape[1])

    def model(
        self, *, input_names: Sequence[str] | None = None, output_names: Sequence[str] | None = None
    ) -> ImplicitModel:
        """The implicit model of the parameters as they are now.

        Parameters
        ----------
        input_names, output_names : sequence of str, optional
            Those of the first model by default.

        Raises
        ------
        InvalidInputError
            Parameters that are not finite, or names that do not fit.
        """
        matrices = {letter: getattr(self, letter) for letter in LETTERS}
        names = {"input_names": input_names, "output_names": output_names}
        return ImplicitModel(**matrices, **self._kept | {k: v for k, v in names.items() if v is not None})

    def project_(self, norm_bound: float = 0.95, well_posedness: str = "inf-norm") -> ImplicitLayer:
        """Move A to the nearest matrix with L ||A||_inf at most ``norm_bound``, which makes the layer well-posed.

        L is the largest slope of each state's function. Each row of A is projected by itself.

        Parameters
        ----------
        norm_bound : float in [0, 1)
        well_posedness : {"inf-norm", "measure"}
            What is bounded, as for :class:`~bcd_implicit.TrainingProblem`: with "measure" negative entries on the
            diagonal may be of any size, in the rows of functions that never fall.

        Returns
        -------
        ImplicitLayer
            The layer itself.

        Raises
        ------
        InvalidInputError
            Another bound or condition; a function without a largest slope.
        """
        remedy = "Choose it in [0, 1); 1 or more would not be well-posed"
        norm_bound = check_number("norm_bound", norm_bound, 0, 1, boundaries="left", remedy=remedy)
        check_choice("well_posedness", well_posedness, WELL_POSEDNESS, "condition")
        activation = self._kept["activation"]
        slopes = activation.slopes(len(self.A))
        if not np.isfinite(slopes).all():
            cause = f"{activation.name} has no largest slope, so no norm of A makes the layer well-posed"
            raise InvalidInputError("activation", cause, "Train it with bi.to_torch, which keeps the zeros of A")
        with torch.no_grad():
            signed = np.flatnonzero(activation.rises(len(slopes))) if well_posedness == "measure" else NONE
            projected = project_l1_rows(self.A.double().numpy(force=True), norm_bound / slopes, signed=signed)
            self.A.copy_(torch.from_numpy(projected))
        return self

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """Predictions (..., q) for inputs of shape (..., p), with any number of axes before.

        Raises
        ------
        InvalidInputError
            No tensor, one of another precision, or another number of inputs; parameters that are not finite; a call of
            PyTorch's tracer.
        NotWellPosedError
            The parameters have no certified equilibrium any more.
        """
        # PyTorch's tracer would keep the predictions of this one batch as constants.
        if torch.jit.is_tracing():
            cause = "is being traced, but the states of an ImplicitLayer are computed outside PyTorch"
            raise InvalidInputError("u", cause, "Exclude it from the trace, and call it directly")
        check_tensor(u, self.d.dtype)
        if not u.ndim or u.shape[-1] != self.n_inputs:
            cause, p = f"has shape {tuple(u.shape)}", self.n_inputs
            raise InvalidInputError("u", cause, f"Give {p} inputs along the last axis: (..., {p})")
        parameters = [getattr(self, letter) for letter in LETTERS]
        rows = u.reshape(math.prod(u.shape[:-1]), self.n_inputs)
        # Of no samples there is nothing to solve.
        found = Prediction.apply(self, rows, *parameters) if len(rows) else rows @ self.D.T
        return found.reshape(*u.shape[:-1], len(self.d))

    def extra_repr(self) -> str:
        (n, p), q = self.B.shape, len(self.d)
        return f"n_hidden={n}, n_inputs={p}, n_outputs={q}, {self._kept['activation'].name}, gradient={self.gradient!r}"
