"""A block as CVXPY compiled it, with the primal and dual values of whatever solver it was given to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from bcd_implicit.certificates import cones
from bcd_implicit.certificates.conic import ConicClaim
from bcd_implicit.support import cvxpy as cp


@dataclass(frozen=True)
class Compiled:
    """What ``cvxpy.Problem.get_problem_data`` returns, and what the solver made of it."""

    data: Mapping[str, Any]
    chain: Any
    inverse: list[Any]
    raw: Any

    def claim(self) -> ConicClaim | None:
        """The solver's claim in the terms of a certificate; None if it gave no dual values, or for an unknown cone.

        Every solver's interface in CVXPY gives its dual values to the compiled constraints in the same signs. They are
        in the order of ``param_prob.constraints``, and so are the rows of A.
        """
        try:
            return self._claim()
        except Exception:  # a solver, or a version of CVXPY, that lacks a part of this: then no gap is known
            return None

    def _claim(self) -> ConicClaim | None:
        program, solver = self.data["param_prob"], self.chain.solver
        solution = solver.invert(self.raw, self.inverse[-1])
        quadratic = program.P is not None
        *P, c, d, A, b = program.apply_parameters(quad_obj=True) if quadratic else program.apply_parameters()
        if program.lower_bounds is not None or program.upper_bounds is not None:
            return None
        parts, y, order, start = [], [], [], 0
        for constraint in program.constraints:
            values = np.asarray(solution.dual_vars[constraint.id], dtype=float).ravel(order="F")
            if values.size != constraint.size:
                return None
            rows = start + np.arange(values.size)
            if isinstance(constraint, cp.constraints.ExpCone):
                # The rows of A are in the solver's order, dual values in CVXPY's.
                rows = rows.reshape(-1, 3)[:, solver.EXP_CONE_ORDER].ravel()
            elif isinstance(constraint, cp.constraints.Zero) and not program.formatted:
                # Formatted for a conic solver, rows are -(Ax + b).
                values = -values
            parts.append(_cones(constraint, solver))
            y.append(values)
            order.append(rows)
            start += values.size
        rows = np.concatenate(order) if order else np.zeros(0, dtype=int)
        starts = program.var_id_to_col
        return ConicClaim(
            P=sparse.csr_array(P[0]) if P else sparse.csr_array((len(c), len(c))),
            c=c,
            d=float(d),
            A=sparse.csr_array(A)[rows],
            b=b[rows],
            cones=parts,
            parts=np.sort(np.concatenate([_parts(v, starts[v.id]) for v in program.variables])),
            x=np.asarray(next(iter(solution.primal_vars.values())), dtype=float).ravel(),
            y=np.concatenate(y) if y else np.zeros(0),
        )


def _parts(variable: cp.Variable, start: int) -> np.ndarray:
    """Where the columns of a variable begin; it is stored column by column."""
    return start + np.arange(0, variable.size, variable.shape[0] if variable.ndim == 2 else max(variable.size, 1))


def _cones(constraint: Any, solver: Any) -> tuple[cones.Cone, int, int]:
    """The cones of a compiled constraint, as in :class:`~bcd_implicit.certificates.conic.ConicClaim`.

    Raises
    ------
    ValueError
        Cones that are not known here.
    """
    kind, size = type(constraint).__name__, constraint.size
    if kind in ("Zero", "NonNeg"):
        return (cones.Zero() if kind == "Zero" else cones.Nonnegative()), 1, size
    count = constraint.num_cones()
    if kind == "SOC":
        return cones.SecondOrder(), count, size // count
    if kind == "ExpCone":
        return cones.Exponential(), count, 3
    if kind == "PowCone3D":
        return cones.Power(np.asarray(constraint.alpha.value, dtype=float).ravel()), count, 3
    if kind == "SvecPSD" and solver.PSD_SQRT2_SCALING:
        # Column by column, which is the other triangle row by row.
        triangle = np.triu_indices if solver.PSD_TRIANGLE_KIND.value == "lower" else np.tril_indices
        return cones.Semidefinite(*triangle(constraint._cone_size())), count, size // count
    raise ValueError(f"a cone {kind}")
