"""Ready-made bounds on gains: how much states and outputs may move for each unit of the largest change of an input.

Let phi have slopes up to L, and let weights g_i > 0 be given, here all equal to one g. If::

    L (g sum_j |A_ij| + sum_j |B_ij|) <= g       for every state i,

then ``|x - x'| <= g h`` for the equilibria of any two inputs, h the largest ``|u_j - u'_j|``. Proof: the condition says
``(I - L |A|) g 1 >= L |B| 1``. The inverse of ``I - L |A|`` has no negative entries, as the model is well-posed. So
``g 1 >= (I - L |A|)^-1 L |B| 1``, and that is what inputs can do to states. (Where only a matrix measure makes it
well-posed, negative diagonal entries of A count with their sign; the condition then says more than is needed.)

Outputs move by at most ``(g |C_k| + |D_k|) h``. So the row sums of
:meth:`~bcd_implicit.model.robustness.robustness.Robustness.sensitivity` are bounded (El Ghaoui et al., arXiv
1908.06315, section 4), by two convex constraints: one in (A, B), one in (C, D).

Where ``phi(t z) = t phi(z)`` for t > 0, as for relu, the bounds cost nothing beyond what they say: the states of any
well-posed model can be divided by their own gains, and then all meet the first bound with g = 1
(:func:`bcd_implicit.tradeoff.scaled_to_gain`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bcd_implicit.constraints.ready_made import ReadyMade, positive, positive_each
from bcd_implicit.errors import InvalidInputError
from bcd_implicit.support import cvxpy as cp
from bcd_implicit.support.formulas import number

# What to pass as a gain.
ONE = "Give a positive number, such as 1"


def state_gain_bound(gain: float = 1.0, max_slope: float = 1.0) -> ReadyMade:
    """No state moves by more than ``gain`` for each unit of the largest change of an input.

    ``max_slope (gain ||A_i||_1 + ||B_i||_1) <= gain`` for every row i of (A, B). It makes ``||A||_inf`` at most
    ``1 / max_slope``, so the norm bound may be near 1.

    Parameters
    ----------
    gain : float > 0
        For relu and other functions with ``phi(t z) = t phi(z)`` it only sets the unit of the states, so use 1.
    max_slope : float > 0
        The largest slope of the activation, ``problem.activation.max_slope``. It is 1 for relu and tanh.

    Raises
    ------
    InvalidInputError
        A number that is not positive.
    """
    positive("gain", gain, ONE)
    positive("max_slope", max_slope, ONE)

    def pose(A: cp.Expression, B: cp.Expression, gain: Any) -> cp.Constraint:
        return max_slope * (gain * cp.norm1(A, axis=1) + cp.norm1(B, axis=1)) <= gain

    def latex(A: str, B: str, gain: str) -> str:
        sums = rf"{gain} \sum_j |A_{{ij}}| + \sum_j |B_{{ij}}|"
        steep = sums if max_slope == 1 else f"{number(max_slope)} ({sums})"
        return rf"{steep} \le {gain} \text{{ for every }} i"

    arguments = {"gain": gain, "max_slope": max_slope}
    return ReadyMade(state_gain_bound, arguments, pose, ("A", "B"), latex=latex, bounds=("gain",))


def output_gain_bound(bound: ArrayLike, states: float = 1.0) -> ReadyMade:
    """No output moves by more than ``bound`` for each unit of the largest change of an input.

    ``states ||C_k||_1 + ||D_k||_1 <= bound`` for every output k. Use it with :func:`state_gain_bound` of the same gain.

    Parameters
    ----------
    bound : float > 0, or one for each output
    states : float > 0
        The gain of the states.

    Raises
    ------
    InvalidInputError
        An argument that is not a positive finite number.
    """
    bounds = positive_each("bound", bound, "Give a positive number, or one for each output")
    positive("states", states, ONE)

    def pose(C: cp.Expression, D: cp.Expression, bound: Any, states: Any) -> cp.Constraint:
        if bounds.shape not in ((), (C.shape[0],)):
            cause = f"has shape {bounds.shape}, and there are {C.shape[0]} outputs"
            raise InvalidInputError("bound", cause, "Give one number, or one for each output")
        return _gains(C, D, states) <= (bound if isinstance(bound, cp.Parameter) else bounds)

    def latex(C: str, D: str, bound: str, states: str) -> str:
        return rf"{states} \sum_j |C_{{kj}}| + \sum_j |D_{{kj}}| \le {bound} \text{{ for every output }} k"

    arguments = {"bound": bound, "states": states}
    return ReadyMade(output_gain_bound, arguments, pose, ("C", "D"), latex=latex, bounds=("bound", "states"))


def margin_gain_bound(bound: float, states: float = 1.0) -> ReadyMade:
    """No difference of two outputs moves by more than ``bound`` for each unit of the largest change of an input.

    ``states ||C_k - C_j||_1 + ||D_k - D_j||_1 <= bound`` for every pair of outputs. The predicted class does not change
    while its margin is larger than ``bound`` times the change. Changes common to all outputs are not bounded.

    Parameters
    ----------
    bound : float > 0
    states : float > 0
        The gain of the states.

    Raises
    ------
    InvalidInputError
        A number that is not positive and finite.
    """
    bounds = positive_each("bound", bound, "Give a positive number")
    if bounds.shape:
        raise InvalidInputError("bound", f"has shape {bounds.shape}", "Give one number for all pairs of outputs")
    positive("states", states, ONE)

    def pose(C: cp.Expression, D: cp.Expression, bound: Any, states: Any) -> cp.Constraint:
        first, second = np.triu_indices(C.shape[0], 1)
        if not len(first):
            raise InvalidInputError("the problem", "has one output, so there are no pairs", "Use output_gain_bound")
        return _gains(C[first] - C[second], D[first] - D[second], states) <= bound

    def latex(C: str, D: str, bound: str, states: str) -> str:
        gaps = rf"{states} \sum_j |C_{{kj}} - C_{{lj}}| + \sum_j |D_{{kj}} - D_{{lj}}|"
        return rf"{gaps} \le {bound} \text{{ for all outputs }} k, l"

    arguments = {"bound": bound, "states": states}
    return ReadyMade(margin_gain_bound, arguments, pose, ("C", "D"), latex=latex, bounds=("bound", "states"))


def _gains(C: cp.Expression, D: cp.Expression, states: Any) -> cp.Expression:
    return states * cp.norm1(C, axis=1) + cp.norm1(D, axis=1)
