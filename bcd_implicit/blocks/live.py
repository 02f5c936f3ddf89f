"""Blocks for a notebook: to look at, to change and to solve again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bcd_implicit.blocks.solve import make_block
from bcd_implicit.problem.iterate import Iterate
from bcd_implicit.problem.training_problem import TrainingProblem

if TYPE_CHECKING:
    from bcd_implicit.blocks.posed import BlockProblem


def block_problem(
    problem: TrainingProblem, it: Iterate, block: str, parameters: Any = None, **block_options: Any
) -> BlockProblem:
    """The live CVXPY problem of one block, for a notebook.

    A number that is a ``cvxpy.Parameter`` can be changed, and the problem solved again, without rebuilding it::

        live = bi.block_problem(problem, it, "hidden", parameters="all")
        live.param_dict["norm_bound"].value = 0.8
        live.solve()

    Parameters
    ----------
    problem : TrainingProblem
    it : Iterate
        Holds the other blocks' values.
    block : {"output", "state", "hidden", "prox-linear"}
    parameters : "all", str or list of str, optional
        Which numbers are parameters. The default is "kappa", "kappa_A" and "fenchel_weight". The choices are

        - "norm_bound", "kappa", "kappa_A" and "ridge_hidden" in "hidden" and "prox-linear", where "kappa_A" is one
          weight for all entries;
        - "fenchel_weight" in "hidden"; if each hidden feature has its own weight, the parameter is the largest one, and
          the others keep their ratios to it;
        - "mu" in "prox-linear";
        - "ridge" in "output", and with ``group_over="BD"`` in "hidden" and "prox-linear";
        - "threshold" of the Huber loss in "output", and with ``group_over="BD"`` in "hidden";
        - the single numbers of ready-made constraints, such as "box(B).lower" and "l1_bound(A).bound".

        ``solve`` raises an error if a parameter is out of its range. The state block has no parameters: its proximal
        term depends on ``fenchel_weight`` through eigenvalues.
    **block_options
        ``mu`` (the proximal weight) for "prox-linear".

    Returns
    -------
    BlockProblem
        A ``cvxpy.Problem`` whose value is the block's objective. ``var_dict`` has the block's variables by letter, with
        the auxiliary variables of the activation. ``param_dict`` has the parameters. ``constraint_dict`` and
        ``dual_values`` have the constraints and dual values by name: "norm_bound", "group_lasso", "pattern of A", and
        the names of your own constraints; ``dual_values`` has a list where one name has several. ``print`` shows the
        problem in symbols, a notebook in LaTeX.

    Raises
    ------
    InvalidInputError
        An unknown block, option or parameter, a state or hidden block whose activation has no CVXPY form, or an iterate
        whose loss overflows.
    """
    return make_block(problem, it, block, **block_options).cvxpy_problem(parameters)
