"""The outcome of a loop, with a status that carries the advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pandas as pd

from bcd_implicit.certificates.certificate import Certificate
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.model.inputs import used_inputs
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.support.display import facts_table, names_of
from bcd_implicit.support.reasons import Reasons
from bcd_implicit.training import explanation

#: The columns of a history.
HISTORY = (
    *(
        "cycle",
        "objective",
        "change",
        "asked",
        "gap",
        "kkt_residual",
        "violation",
        "n_selected",
        "fenchel_weight",
        "mu",
        "attempts",
        "learning_rate",
    ),
    "seconds",
)


class Status(Enum):
    """How training ended. The value is a sentence with advice."""

    CONVERGED = "converged: a cycle changed the objective by less than tol or atol (blockwise stationary, not global)"
    MAX_CYCLES = "stopped at max_cycles before it had converged; raise max_cycles or tol"
    STALLED = (
        "stopped without progress while a block missed its tolerance; scale the data, or use another solver or method"
    )
    SOLVER_FAILED = (
        "a block could not be solved; the last good iterate is returned: try another solver or scale the data"
    )
    STOPPED = "stopped by the callback"
    INTERRUPTED = "interrupted by Ctrl-C; the best iterate so far is returned: start=result continues from it"
    TIME_LIMIT = "stopped at max_seconds; the best iterate so far is returned: start=result continues from it"

    @property
    def ok(self) -> bool:
        """Whether the loop ended as asked."""
        # Whoever stops by a callback has decided that it is enough.
        return self in (Status.CONVERGED, Status.STOPPED)

    @property
    def cause(self) -> str:
        """The first part of the sentence, without the advice."""
        return self.value.partition(";")[0]

    @property
    def cut_short(self) -> bool:
        """Whether Ctrl-C or the time limit ended it."""
        return self in (Status.INTERRUPTED, Status.TIME_LIMIT)


def ended_early(status: Status | None) -> dict[str, str]:
    """What the table of a path says where it was cut short, by name; nothing where it was not."""
    return {} if status is None else {"cut short": f"{status.cause}; this is the result so far"}


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
        One row per cycle: cycle, objective (never increases; with "gradient" it is (T) at the end of the cycle, which
        may increase), change, asked (the tolerance of its blocks: ``block_tol``, or in a rough cycle, which solves
        blocks inexactly, the share of all gains at which native steps end), gap and kkt_residual (NaN in a rough cycle,
        and in a cycle of "gradient" without a check), violation, learning_rate, seconds, ...
    certificates : mapping of str to Certificate
        Those of the last exact solve of every block. A run that a callback stops in a rough cycle, or with
        ``block_tol=None``, may have only that of the output block. With "gradient", which solves no blocks in training,
        they are computed for the result.
    dual_values : mapping
        By constraint, from the last solved block that it affects, as in :class:`~bcd_implicit.BlockSolution`.
    solvers : mapping of str to str
        The solver from which each block's last exact solution comes: it differs from ``solver`` if that failed.
    """

    problem: TrainingProblem
    method: str
    solver: str
    status: Status
    iterate: Iterate
    history: pd.DataFrame
    certificates: Mapping[str, Certificate]
    dual_values: Mapping[str, Any] = field(default_factory=dict)
    solvers: Mapping[str, str] = field(default_factory=dict)

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

    def explain(self, costs: bool = True) -> Reasons:
        """Why each input is in or out at this kappa, one line each, and how training ended.

        An input stays out if the gradient of the loss with respect to its column is at most kappa times its weight: the
        optimality condition of the group lasso. It is recomputed from the data through the equilibrium
        (:func:`bcd_implicit.gradient`), independently of the block solvers. All else equal, the input enters once kappa
        falls below their ratio.

        Parameters
        ----------
        costs : bool
            Report the loss without each input that is in: with the input at its mean, without refitting. This takes one
            solve of the states per input.

        Returns
        -------
        Reasons
            Print it to read the text. Its ``table`` has one row per input or group: input, outcome, why, inputs, norm
            (of its columns), weight, gradient (its dual norm), limit (kappa, or the multiplier of the bound, times the
            weight), enters_at (a kappa), passes_through (the norm of its column of D if D is not penalised), free
            (false if the pattern fixes it at zero); with costs also loss and loss_without.
        """
        return explanation.explain(self.problem, self.iterate, self.status.value, self.method, self.certificates, costs)

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
            problem.row_set.symbol: f"{problem.row_set.everywhere.size(it.A):.4g}, {problem.row_set.in_words}",
            "inputs used": names_of(problem.input_names, used_inputs(self.model)),
        }
        if problem.D_is_output:  # inputs that the lasso leaves out may pass through D
            facts["inputs selected"] = names_of(problem.input_names, problem.selected(it))
        for block, certificate in self.certificates.items():
            facts[f"{block} block"] = ", ".join(f"{name} {value}" for name, value in certificate.facts.items())
        return facts_table("BcdResult", facts)
