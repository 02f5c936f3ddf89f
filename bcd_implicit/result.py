"""What solves return: statuses that carry the advice, block solutions, the result of a loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import pandas as pd

from bcd_implicit.certificates import Certificate
from bcd_implicit.display import facts_table, names_of

if TYPE_CHECKING:
    from bcd_implicit.model import ImplicitModel
    from bcd_implicit.problem import Iterate, TrainingProblem


# A user's own constraints cannot be repaired as ours are: a point that violates one by more is not accepted.
USER_VIOLATION = 1e-6


# Without a gap the residual must do; it is relative to the gradient at zero and falls with the gap's square root.
FAIR_RESIDUAL = 1e-3


class Status(Enum):
    """How a loop ended. The value is a sentence for a person, with the advice in it."""

    CONVERGED = "converged: a cycle changed the objective by less than tol (blockwise stationary, not a global optimum)"
    MAX_CYCLES = "stopped at max_cycles while the objective still fell; raise max_cycles or tol"
    STALLED = "stopped without progress while a block missed its tolerance; scale the data or use another solver"
    SOLVER_FAILED = (
        "a block could not be solved; the last good iterate is returned: try another solver or scale the data"
    )
    STOPPED = "stopped by the callback"

    @property
    def ok(self) -> bool:
        """Whether the loop ended as asked."""
        return self in (Status.CONVERGED, Status.STOPPED)


@dataclass(frozen=True)
class BlockSolution:
    """One block, solved.

    Attributes
    ----------
    block, solver : str
    status : str
        The solver's own word. What counts is the certificate.
    iterate : Iterate
        The point with the block's variables exchanged, feasible.
    objective : float
        The block's objective there, from NumPy.
    certificate : Certificate
        Gap, residual and violation recomputed from the data.
    dual_values : mapping
        By constraint: "norm_bound" (one a row of A), "group_lasso" (constraint form), and the user's by name, for which
        a conic solver gives CVXPY's: an array, or a list of them where a function returns several constraints. Signs
        and units as in :mod:`bcd_implicit.constraints`.
    seconds : float
        Building, compiling and solving.
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
    def rank(self) -> tuple[float, bool, float]:
        """Smaller is better: by the gap; where none is known, a feasible point is, and then the lower objective."""
        return self.certificate.relative_gap, not self.feasible, self.objective

    def meets(self, tol: float) -> bool:
        """Whether the certificate holds to the tolerance, or none is known and the solver reports an optimum."""
        if self.certificate.known:
            return self.certificate.holds(tol)
        residual = self.certificate.kkt_residual
        return self.status == "optimal" and self.feasible and (residual <= FAIR_RESIDUAL or residual == float("inf"))


@dataclass(frozen=True)
class BcdResult:
    """The outcome of :func:`bcd_implicit.solve`.

    Attributes
    ----------
    problem : TrainingProblem
    method, solver : str
    status : Status
    iterate : Iterate
        Matrices and equilibrium states.
    history : DataFrame
        A row a cycle: cycle, objective (the one the loop never raises), change, gap, violation, seconds, ...
    certificates : mapping of str to Certificate
        Of the last solve of every block.
    dual_values : mapping
        By constraint, of the last solved block on which it acts, as in :class:`BlockSolution`.
    """

    problem: TrainingProblem
    method: str
    solver: str
    status: Status
    iterate: Iterate
    history: pd.DataFrame
    certificates: Mapping[str, Certificate]
    dual_values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> ImplicitModel:
        """The trained model; it takes samples as rows."""
        return self.problem.model(self.iterate)

    @property
    def objective(self) -> float:
        """The true objective (T) at the result's states, which are at equilibrium."""
        return self.problem.objective_at_states(self.iterate)

    @property
    def violations(self) -> dict[str, float]:
        """The largest violation of every constraint at the result, by name."""
        return self.problem.violations(self.iterate)

    @property
    def n_cycles(self) -> int:
        """Cycles taken."""
        return len(self.history)

    @property
    def seconds(self) -> float:
        """Total of the cycles, in seconds."""
        return float(self.history["seconds"].sum())

    def __repr__(self) -> str:
        return (
            f"BcdResult(method={self.method!r}, status={self.status.name}, n_cycles={self.n_cycles}, "
            f"objective={self.objective:.6g}, seconds={self.seconds:.3g})"
        )

    def _repr_html_(self) -> str:
        problem, it = self.problem, self.iterate
        facts = {
            "status": self.status.value,
            "method": f"{self.method}, solver {self.solver}",
            "cycles": f"{self.n_cycles}, {self.seconds:.3g} s",
            "objective (T)": f"{self.objective:.6g}",
            "hidden features": f"{problem.n_hidden}, {problem.activation.name}",
            "||A||_inf": f"{self.model.norm_inf():.4g}, at most {problem.norm_bound:g}",
            "inputs used": names_of(problem.input_names, problem.selected(it)),
        }
        for block, certificate in self.certificates.items():
            facts[f"{block} block"] = ", ".join(f"{name} {value}" for name, value in certificate.facts.items())
        return facts_table("BcdResult", facts)
