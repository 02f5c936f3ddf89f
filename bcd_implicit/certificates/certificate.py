"""Proof of how good a block's solution is: duality gap, KKT residual and constraint violation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.display import facts_table, known

# An objective below this is zero: its gap is measured by it.
SMALLEST = 1e-100
EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Certificate:
    """Proof of how good a block's solution is: duality gap, KKT residual and constraint violation.

    Attributes
    ----------
    gap : float
        Upper bound on objective - optimum of this block. It is ``inf`` if no bound is known: an input has no penalty or
        constraint (kappa or its group's weight is 0, and so is the ridge on its column); an entry of A has no ridge and
        no lower bound (on the diagonal, with the matrix measure); or a user's term acts on the block and the solver
        gave no dual values that fit its point.
    scale : float
        The gap is divided by this: the larger of the block's objective at the point and at a trivial point (predictions
        of zero; A = B = b = 0 in the hidden block; no step in the prox-linear block). If the objective is a billionth
        of that, a point may pass although another has half the objective.
    kkt_residual : float
        Norm of the proximal-gradient step, relative to the gradient at zero; with a user's term that of the compiled
        problem, as in :mod:`~bcd_implicit.certificates.conic`; ``inf`` where unknown.
    violation : float
        Largest violation of a constraint: of the bound on A as it is, of the group lasso's bound relative to kappa,
        of the pattern relative to the matrix's largest entry, of the range of phi and of a user's constraints in their
        own units.
    allowed_violation : float
        Violations up to this size count as none.
    """

    gap: float
    scale: float
    kkt_residual: float
    violation: float
    allowed_violation: float = 1e-8

    @property
    def relative_gap(self) -> float:
        """Gap / scale; 0 for a gap of 0, and infinite if one of them overflows."""
        if not (np.isfinite(self.gap) and np.isfinite(self.scale)):
            return np.inf
        return 0.0 if self.gap <= 0 else self.gap / max(self.scale, SMALLEST) if self.scale > 0 else np.inf

    @property
    def known(self) -> bool:
        """Whether a gap could be computed."""
        return bool(np.isfinite(self.gap))

    def holds(self, tol: float) -> bool:
        """Whether the point is optimal for the block to the relative tolerance, and feasible."""
        return self.relative_gap <= tol and self.violation <= self.allowed_violation

    def __repr__(self) -> str:
        return (
            f"Certificate(relative_gap={self.relative_gap:.2e}, kkt_residual={self.kkt_residual:.2e}, "
            f"violation={self.violation:.2e})"
        )

    @property
    def facts(self) -> dict[str, str]:
        """The numbers in words."""
        return {
            "relative gap": known(self.relative_gap),
            "KKT residual": known(self.kkt_residual),
            "violation": f"{self.violation:.2e}",
        }

    def _repr_html_(self) -> str:
        return facts_table("Certificate", self.facts | {"gap": known(self.gap), "scale": f"{self.scale:.2e}"})


def nothing(problem: TrainingProblem, it: Iterate) -> float:
    """A floor for scales: a thousandth of the loss with its ridge, or of the loss of predicting zero.

    If a block's own part is below that, the gap is measured by it: a block that has nothing to do (X = 0, or
    targets met exactly) would have no scale otherwise. The regularisation of (A, B) plays no part: at the point that
    a block starts from it may be large beyond all measure.
    """
    largest = max(problem.output_objective(it), problem.loss_of_zero)
    # Counts that are all one are met exactly by zero: there is what they would cost if the loss were quadratic.
    Y = problem.Y
    quadratic = 0.5 * float((problem.loss.curvature(np.zeros_like(Y), Y) * Y**2).sum(axis=0) @ problem.shares)
    return 1e-3 * (largest if largest > EPS * quadratic else quadratic)


def ratio(size: float, reference: float) -> float:
    """Size / reference; 0 for 0 / 0."""
    return size / reference if reference > 0 else (0.0 if size == 0 else np.inf)
