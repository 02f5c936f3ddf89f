"""Constraints and penalties of your own on A, B, b, C, D and d, and ready-made ones.

A function gets the CVXPY variables of a block by name. What it returns says what it is: a CVXPY constraint (or several
in a list) constrains the block, a scalar convex expression is added to THE objective:

    TrainingProblem(..., constraints=[nonnegative("B"), lambda v: cp.norm(v["C"], "fro") <= 3])
    TrainingProblem(..., constraints={"few entries": lambda v: 0.1 * cp.sum(cp.abs(v["B"]))})
    TrainingProblem(..., constraints="box(B, lower=0, upper=0.5)")

A single one needs no list. A text stands for a ready-made one, written as on the command line; it is read, not run.

Each has a name: its key in a mapping, that of the ready-made one ("nonnegative(B)"), the function's own, or
"constraints[0]". Violations and dual values come back under it. Blocks on which one acts go through CVXPY, the others
keep their native solver.

Dual values have CVXPY's signs, in the units of the objective with its loss averaged over samples. A value of an
inequality is nonnegative: relaxing that bound by a small t lowers the block's optimal objective by the value times t.
For ``left == right``, adding t to the right side lowers it by the value times t, of either sign.
"""

from bcd_implicit.constraints.by_name import READY_MADE, from_text
from bcd_implicit.constraints.entries import box, fixed_entries, monotone, nonnegative, nonpositive
from bcd_implicit.constraints.gains import margin_gain_bound, output_gain_bound, state_gain_bound
from bcd_implicit.constraints.norms import (
    column_norm_bound,
    convex_state,
    l1_bound,
    l1_penalty,
    nuclear_norm_bound,
    row_norm_bound,
    spectral_norm_bound,
)
from bcd_implicit.constraints.patterns import banded, feedforward, symmetric
from bcd_implicit.constraints.ready_made import ReadyMade

__all__ = [
    "READY_MADE",
    "ReadyMade",
    "banded",
    "box",
    "column_norm_bound",
    "convex_state",
    "feedforward",
    "fixed_entries",
    "from_text",
    "l1_bound",
    "l1_penalty",
    "margin_gain_bound",
    "monotone",
    "nonnegative",
    "nonpositive",
    "nuclear_norm_bound",
    "output_gain_bound",
    "row_norm_bound",
    "spectral_norm_bound",
    "state_gain_bound",
    "symmetric",
]
