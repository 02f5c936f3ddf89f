"""A problem and the units of the data: models go in and come out in the data's own, iterates are in the problem's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.matrices import dense
from bcd_implicit.problem.given_model import fitted
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.specification import Specification

# Equilibria inside the loops are solved this well (relative), so that comparing objectives at 1e-9 makes sense.
STATE_TOL = 1e-13


class InUnits(Specification):
    """The part of a TrainingProblem that converts between the data's units and the units of training."""

    @property
    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (m, p) and targets (m, q) in the data's own units, without samples of weight 0."""
        return (self.U.T, self.Y.T) if self.scaling is None else self.scaling.undo(self.U.T, self.Y.T)

    def standardised(self, U: np.ndarray, Y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (m, p) and targets (m, q) of other samples in the units of this problem."""
        return (U, Y) if self.scaling is None else self.scaling.apply(U, Y)

    def iterate(self, model: ImplicitModel) -> Iterate:
        """The iterate with a model's matrices and its states on this problem's samples: the inverse of :meth:`model`.

        To fine-tune a given network, pass it to :func:`~bcd_implicit.solve` as ``start=model``, which uses this method.

        Parameters
        ----------
        model : ImplicitModel
            Of the problem's numbers of hidden features, inputs and outputs, and of its activation. Names of inputs and
            outputs that both have are matched.

        Raises
        ------
        InvalidInputError
            The model does not fit the problem.
        NotWellPosedError
            The model has no certified equilibrium.
        """
        if not isinstance(model, ImplicitModel):
            raise InvalidInputError("model", f"is of type {type(model).__name__}", "Pass an ImplicitModel")
        model = fitted("model", model, self.shapes, self.activation, self.input_names, self.output_names)
        if self.scaling is not None:
            model = self.scaling.standard_model(model)
        matrices = {letter: dense(getattr(model, letter)) for letter in "ABCD"}
        X = model.states(self.U.T, tol=STATE_TOL).X.T
        return Iterate(**matrices, b=model.b, d=model.d, X=X).contiguous()

    def model(self, it: Iterate, input_names: Sequence[str] | None = None) -> ImplicitModel:
        """The iterate's matrices as a model in the data's own units.

        The inputs have the problem's names unless others are given.
        """
        model = self.model_of_columns(it, input_names)
        return model if self.scaling is None else self.scaling.raw_model(model)

    def model_of_columns(self, it: Iterate, input_names: Sequence[str] | None = None) -> ImplicitModel:
        """The iterate's matrices as a model of U and Y as the problem has them, standardised or not."""
        return ImplicitModel(
            it.A,
            it.B,
            it.b,
            it.C,
            it.D,
            it.d,
            self.activation,
            link=self.loss.link,
            input_names=self.input_names if input_names is None else input_names,
            output_names=self.output_names,
            vector_output=self.vector_targets,
        )
