"""What a loss is: a convex function of the prediction, with its conjugate, for the output, the state and the rest.

To add a loss, subclass :class:`Loss` and add an instance to :data:`bcd_implicit.LOSSES`. A subclass may have
parameters, which it gives in ``parameters``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.by_name import undefined
from bcd_implicit.support.formulas import Shown, written
from bcd_implicit.terms.links import LINKS

# What a sample is called in messages.
Place = Callable[[int], str]


def in_rows(sample: int) -> str:
    """What it is called by default."""
    return f"row {sample}"


class Loss:
    """A convex loss L(f, y) >= 0 of the predictions f = CX + DU + d, summed over outputs.

    Arrays of predictions, targets and dual points have the shape (q, m), one sample per column.

    Attributes
    ----------
    name : str
        The name by which users select it.
    quadratic : bool
        True only for the squared loss, which has closed forms.
    smooth : bool
        Whether it has a gradient everywhere. If not, it offers :meth:`smoothed`.
    separable : bool
        Whether it is a sum over outputs, so that its second derivative is a diagonal.
    max_curvature : float
        The largest second derivative; ``inf`` where there is no bound.
    free_targets : bool
        Whether targets may be any numbers, in any units, so that targets and predictions can be rescaled together.
        Otherwise the loss is minus a log likelihood, up to a constant.
    robust_units : bool
        Whether targets are standardised by a scale that outliers do not affect: 1/0.6745 times the median distance from
        the median, which for normal targets is the standard deviation.
    link : str
        The scale of the predictions, a name in :data:`~bcd_implicit.terms.links.LINKS`.
    """

    name: ClassVar[str]
    quadratic: ClassVar[bool] = False
    smooth: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    max_curvature: ClassVar[float] = np.inf
    free_targets: ClassVar[bool] = False
    robust_units: ClassVar[bool] = False
    link: ClassVar[str] = "identity"
    #: Of the ``parameters``, those that :meth:`cvxpy` takes as a ``cvxpy.Parameter`` too.
    movable: ClassVar[tuple[str, ...]] = ()

    @property
    def latex(self) -> str:
        """The loss of one sample as a formula in LaTeX, f the prediction and y the target, with its parameters' values.

        Without a formula it is the loss's name.
        """
        return rf"{written(self.name)}(f, y)"

    def formula(self, shown: Shown) -> str:
        """The same, with the ``movable`` parameters replaced by ``shown``."""
        return self.latex

    def check_targets(self, Y: np.ndarray, names: list[str], argument: str = "Y", place: Place = in_rows) -> None:
        """Raise an error that names the first target for which the loss is not defined.

        Parameters
        ----------
        Y : ndarray of shape (q, m)
        names : list of str
            Names of the outputs.
        argument : str
            The name of the targets in the message.
        place : callable
            Gives the name of a sample, such as "row 3".

        Raises
        ------
        InvalidInputError
            A target is not allowed. Shape and finiteness are checked elsewhere.
        """

    def value(self, prediction: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """The loss of each sample, shape (m,), without weights."""
        raise undefined(self, "value")

    def gradient(self, prediction: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Gradient with respect to the prediction, shape (q, m); at a kink, one subgradient."""
        raise undefined(self, "gradient")

    def second_derivative(self, prediction: np.ndarray, Y: np.ndarray, change: np.ndarray) -> np.ndarray:
        """The second derivative times a change of the prediction, shape (q, m)."""
        return self.curvature(prediction, Y) * change

    def second_diagonal(self, prediction: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """The diagonal of the second derivative, shape (q, m)."""
        return self.second_derivative(prediction, Y, np.ones_like(prediction))

    def curvature(self, prediction: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Weights h > 0, shape (q, m), of a quadratic model of the loss, gradient'e + h/2 e^2.

        h is near the second derivative, or above it, and never small compared with the gradient, so that the minimum of
        the model is within the range where the model is accurate.
        """
        raise undefined(self, "curvature")

    def conjugate(self, V: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """L*(v) = sup_f <v, f> - L(f, y) of each sample, shape (m,); ``inf`` outside its domain."""
        raise undefined(self, "conjugate")

    def divergence(self, prediction: np.ndarray, V: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """L(f) + L*(v) - <v, f> >= 0 of each sample, shape (m,), for v in the domain: zero for v the gradient at f.

        Gaps are sums of these values, so none may be computed as the small difference of large numbers.
        """
        raise undefined(self, "divergence")

    def inside(self, V: np.ndarray, Y: np.ndarray) -> np.ndarray:
        """Points near V in the domain of the conjugate."""
        return V

    def best_constant(self, Y: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """The constant prediction with the smallest mean loss, shape (q,); if that is infinite, a large one."""
        raise undefined(self, "best_constant")

    def response(self, prediction: np.ndarray) -> np.ndarray:
        """The prediction in the target's units: a mean, a quantile or probabilities."""
        return LINKS[self.link](prediction)

    def loss_of_constant(self, Y: np.ndarray, shares: np.ndarray) -> float:
        """The mean loss of :meth:`~bcd_implicit.Loss.best_constant`: the loss of a model without inputs."""
        constant = np.broadcast_to(self.best_constant(Y, shares)[:, None], Y.shape)
        return float(self.value(constant, Y) @ shares)

    def d2(self, prediction: np.ndarray, Y: np.ndarray, shares: np.ndarray) -> float:
        """The share by which predictions reduce the loss of the best constant: R2 for the squared loss."""
        loss, constant = float(self.value(prediction, Y) @ shares), self.loss_of_constant(Y, shares)
        # Targets that do not vary have nothing to explain: as scikit-learn has it.
        return 1 - loss / constant if constant > 0 else float(loss == 0)

    def cvxpy(self, prediction: cp.Expression, Y: np.ndarray, weights: float | np.ndarray = 1.0) -> cp.Expression:
        """The sum over samples of weights * loss as a CVXPY expression; one weight, or one per sample."""
        raise undefined(self, "cvxpy")

    def smoothed(self, V: np.ndarray, width: float | np.ndarray) -> Loss:
        """A smooth loss that has the same minimum as this one if V is the dual solution.

        The Moreau envelope around the multipliers V: max_v <v, f - y> - width/2 ||v - V||^2 over the domain of the
        conjugate, with one width, or one per sample. Its gradient is in that domain, and is the next V (method of
        multipliers; Rockafellar, *Mathematics of Operations Research* 1976).
        """
        raise undefined(self, "smoothed")

    def of_outputs(self, outputs: np.ndarray) -> Loss:
        """The loss of some outputs (indices) only, for a loss that is a sum over outputs."""
        return self

    @property
    def parameters(self) -> dict[str, Any]:
        """Its parameters by name, as for an activation."""
        return {}

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Loss) and self.parameters == other.parameters

    def __hash__(self) -> int:
        return hash((type(self), *self.parameters.values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value:g}" for name, value in self.parameters.items())
        return f"<loss {self.name}{f' ({shown})' if shown else ''}>"


#: What a subclass has to define.
NEEDED = ("value", "gradient", "curvature", "conjugate", "divergence", "best_constant", "cvxpy")


def columns(weights: float | np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Weights of samples for each entry of an array of predictions."""
    return np.broadcast_to(weights, shape)


def refuse(
    bad: np.ndarray, Y: np.ndarray, cause: str, remedy: str, names: list[str], argument: str, place: Place
) -> None:
    """Raise an error for the first of the targets Y, shape (q, m), that is bad.

    Raises
    ------
    InvalidInputError
        If there is one.
    """
    if bad.any():
        output, sample = (int(i) for i in np.argwhere(bad)[0])
        raise InvalidInputError(
            argument, f"{cause}, {place(sample)} of {names[output]!r} is {Y[output, sample]:.6g}", remedy
        )
