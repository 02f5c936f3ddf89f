"""What the solve of a block returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bcd_implicit.certificates.certificate import Certificate
from bcd_implicit.certificates.conic import USER_VIOLATION
from bcd_implicit.problem.iterate import Iterate

# Without a gap the residual must do; it is relative to the gradient at zero and falls with the gap's square root.
FAIR_RESIDUAL = 1e-3
# A point with a larger relative gap, or an unknown one, is nothing that a conic solver can have meant.
FAIR_GAP = 1e-3
# The status of a point that is better than the start, and was not meant to be optimal.
IMPROVED = "improved"


@dataclass(frozen=True)
class BlockSolution:
    """The solution of one block.

    Attributes
    ----------
    block, solver : str
    status : str
        As the solver reports it. Rely on the certificate instead.
    iterate : Iterate
        The iterate with the block's variables replaced by the feasible solution.
    objective : float
        The block's objective at that point, computed by NumPy.
    certificate : Certificate
        Gap, residual and violation recomputed from the data.
    dual_values : mapping
        By constraint: "norm_bound" (one per row of A), "group_lasso" (constraint form), and the user's by name, for
        which a conic solver gives CVXPY's dual values: an array, or a list of arrays if a function returns several
        constraints. Signs and units as in :mod:`bcd_implicit.constraints`.
    seconds : float
        Time for building, compiling and solving.
    """

    block: str
    solver: str
    status: str
    iterate: Iterate
    objective: float
    certificate: Certificate
    dual_values: Mapping[str, Any]
    seconds: float

    def __repr__(self) -> str:
        return (
            f"BlockSolution(block={self.block!r}, solver={self.solver!r}, status={self.status!r}, "
            f"objective={self.objective:.6g}, certificate={self.certificate}, seconds={self.seconds:.3g})"
        )

    @property
    def feasible(self) -> bool:
        """Whether no constraint is violated by more than 1e-6."""
        return self.certificate.violation <= USER_VIOLATION

    @property
    def solved(self) -> bool:
        """Whether an optimum was asked for, not only a better point."""
        return self.status != IMPROVED

    @property
    def rank(self) -> tuple[float, bool, float]:
        """Smaller is better: compares gaps; if no gap is known, feasibility and then the objective."""
        return self.certificate.relative_gap, not self.feasible, self.objective

    @property
    def fair(self) -> bool:
        """Whether the point is near enough to the optimum that its solver is not at fault."""
        return self.feasible and self.certificate.relative_gap <= FAIR_GAP

    def meets(self, tol: float) -> bool:
        """Whether the certificate holds to the tolerance or, if no gap is known, the residual is small."""
        certificate = self.certificate
        if certificate.known:
            return certificate.holds(tol)
        return self.status == "optimal" and self.feasible and certificate.kkt_residual <= FAIR_RESIDUAL
