"""States at equilibrium, x = phi(Ax + Bu + b), by any of several solvers, with a bound on their error.

To add a solver, write a function of a :class:`~bcd_implicit.model.state_map.StateMap`, a start and the most iterations
that returns a :class:`~bcd_implicit.model.state_map.Reached`, and add it to :data:`SOLVERS`. Bounds do not depend on
it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np

from bcd_implicit.errors import check_choice, see
from bcd_implicit.model.active_set import SHARED_BY, active_set, count_patterns
from bcd_implicit.model.anderson import anderson
from bcd_implicit.model.broyden import broyden
from bcd_implicit.model.picard import picard
from bcd_implicit.model.rounding import near_one, summation_error
from bcd_implicit.model.state_map import Reached, StateMap
from bcd_implicit.support.interruption import check_stop
from bcd_implicit.support.notices import warn_convergence
from bcd_implicit.support.parts import parts
from bcd_implicit.terms.function import ElementwiseFunction

#: The solver whose steps are damped; it takes Picard's place where only damped steps contract.
FORWARD_BACKWARD = "forward-backward"
# A stop for contraction factors next to 1.
MAX_ITER = 100_000
# Damped steps that are shorter than this share of a whole one are none to begin with.
SHORTEST = 0.1
# A larger bound on the error, relative to the states, gives a warning.
WEAKEST = 1e-6
#: What Newton costs, in Picard steps: at the least, and more where every sample has a pattern of its own (benchmarks/
#: states.py; it is about the same for every number of hidden features, LAPACK being slow where they are few).
NEWTON, NEWTON_BY_SAMPLE = 40.0, 80.0
#: From so many hidden features on Broyden's method takes half of Newton's time or less where every sample has a pattern
#: of its own. It may have so many steps, which cost about as much as Newton then.
LARGE, TRIED = 150, 60


@dataclass(frozen=True)
class FixedPoint:
    """States at equilibrium.

    Attributes
    ----------
    X : ndarray of shape (n, m)
        States, one sample per column ((m, n) when it comes from a model: samples are rows there).
    n_iter : int
        Steps or rounds taken.
    solver : str
        Whose answer it is: "picard", "forward-backward", "active-set" (also for "newton"), "anderson", "broyden", or
        "active-set + picard" where Picard took over samples that did not settle; "sweep" where no state depends on
        itself.
    find_error_bound : callable
        Of nothing: what ``error_bound`` asks once.
    """

    X: np.ndarray
    n_iter: int
    solver: str
    find_error_bound: Callable[[], np.ndarray] = field(repr=False)

    @cached_property
    def error_bound(self) -> np.ndarray:
        """For each sample, a bound on ``max_i |x_i - x*_i|``, rounding included: shape (m,)."""
        return self.find_error_bound()


def auto(states: StateMap, X: np.ndarray, max_iter: int) -> Reached:
    """Picard, and Newton from where Picard got to as soon as Picard seems to need longer than that; or Broyden."""
    cost = NEWTON

    def leave(X: np.ndarray, taken: int, remaining: float) -> bool:
        nonlocal cost
        # Steps taken count too: where estimates stay too low, Picard costs no more than Newton all the same.
        expected = max(taken, remaining)
        # Counting patterns costs a few steps: once, where it may matter.
        if cost == NEWTON and expected > NEWTON:
            cost += NEWTON_BY_SAMPLE * _share_of_systems(states, X)
        return expected > cost

    # So short damped steps cannot be told from none: Newton, from each state's own equation.
    if states.damping is not None and states.damping.min() < SHORTEST and not states.activation.projection:
        return active_set(states, X, max_iter)
    reached = picard(states, X, max_iter, leave)
    if reached.settled or reached.n_iter >= max_iter or not np.isfinite(reached.new).all():
        return reached
    taken = reached.n_iter
    if len(states.A) >= LARGE and cost > NEWTON + NEWTON_BY_SAMPLE / 2:
        reached = broyden(states, reached.new, min(TRIED, max_iter - taken))
        taken += reached.n_iter
        if reached.settled or taken >= max_iter:
            return replace(reached, n_iter=taken)
    rest = active_set(states, reached.new, max_iter - taken)
    return replace(rest, n_iter=taken + rest.n_iter)


def _share_of_systems(states: StateMap, X: np.ndarray) -> float:
    """How many systems a round of Newton solves from states X, as a share of one for each sample."""
    n_patterns = count_patterns(states.activation.derivative(states.preactivation(X)))
    return min(1.0, SHARED_BY * n_patterns / X.shape[1])


#: The solvers, by name.
SOLVERS: dict[str, Callable[[StateMap, np.ndarray, int], Reached]] = {
    "auto": auto,
    "picard": picard,
    # The same with damped steps, which fixed_point asks the map for.
    FORWARD_BACKWARD: picard,
    "active-set": active_set,
    # Another name of the same: rounds are Newton's steps, and where phi is smooth nobody would look for pieces.
    "newton": active_set,
    "anderson": anderson,
    "broyden": broyden,
}


def fixed_point(
    A: np.ndarray,
    drive: np.ndarray,
    activation: ElementwiseFunction,
    X: np.ndarray | None = None,
    *,
    solver: str = "auto",
    weights: np.ndarray | None = None,
    tol: float = 1e-10,
    max_iter: int = MAX_ITER,
    drive_error: np.ndarray | None = None,
) -> FixedPoint:
    """Solve X = phi(A X + drive) until the error bound meets the tolerance.

    Parameters
    ----------
    A : ndarray of shape (n, n)
    drive : ndarray of shape (n, m)
        BU + b, which does not change along the way.
    activation : ElementwiseFunction
    X : ndarray of shape (n, m), optional
        Start; zero when absent.
    solver : {"auto", "picard", "forward-backward", "active-set", "newton", "anderson", "broyden"}
        "picard" steps X <- phi(A X + drive); "forward-backward" damps the steps of states with negative entries on the
        diagonal of A, which all solvers do where only such steps contract; "active-set", or "newton", is Newton's
        method, exact after a few rounds for piecewise-linear activations, whatever the contraction; "anderson" combines
        Picard's last steps; "broyden" guesses from them what Newton would solve for; "auto" begins with Picard and goes
        over to the active set where that costs less, or to Broyden where there are 150 features and more. All end with
        a step of Picard's, so that the bound holds for all.
    weights : ndarray of shape (n,), optional
        Positive v: the contraction is measured in ``max_i |x_i| / v_i``. Ones by default, which asks for
        ||A||_inf < 1 or mu(A) < 1; other weights serve models that only pass the Perron-Frobenius test.
    tol : float
        Largest error bound accepted, relative to the largest state of the batch, from what the last step changed. The
        iteration also ends, with the bound that it has, where rounding is all that still changes.
    max_iter : int
        A stop for contraction factors next to 1; reaching it warns.
    drive_error : ndarray of shape (n, m), optional
        How far off the drive may be: counted in the error bound. By default it is exact.

    Returns
    -------
    FixedPoint

    Raises
    ------
    InvalidInputError
        Another solver.
    NotWellPosedError
        The contraction factor is 1 or more.

    Warns
    -----
    ConvergenceWarning
        ``max_iter`` was reached, or rounding before the error was bounded by a millionth, or the contraction factor is
        so near to 1 that it makes more of rounding.
    """
    solve = SOLVERS[check_choice("solver", solver, SOLVERS)]
    states = StateMap(A, drive, activation, weights, tol, damped=solver == FORWARD_BACKWARD)
    found, bound = np.empty_like(drive), np.empty(drive.shape[1])
    ends, left = [], 0.0
    # A part that fits into the cache takes half the time, and need not wait for the others.
    for part in parts(drive.shape[1], len(A)):
        check_stop()
        some = states.take(part)
        # From zero the first step needs no product with A.
        end = solve(some, activation(some.drive) if X is None else X[:, part], max_iter)
        found[:, part] = end.new
        bound[part] = some.error_bound(end.X, end.new, None if drive_error is None else drive_error[:, part])
        # Not max(): what is not a number must stay.
        left = float(np.maximum(left, some.error_left(end.X, end.new).max()))
        ends.append(end)
    n_iter = max((end.n_iter for end in ends), default=0)
    # Of several parts the one that took more than Picard.
    name = max((end.solver for end in ends), key=lambda name: name != states.stepping, default=solver)
    told = f"contraction factor {near_one(states.factor)}"
    size = np.abs(found).max(initial=0.0)
    if not all(end.settled for end in ends):
        _warn(
            f"{name.capitalize()} stopped after {n_iter} steps with error bound {bound.max():.2e} ({told}). "
            "Lower norm_bound or raise max_iter."
        )
    # What rounding adds to the bound is no sign of bad convergence, and mostly too pessimistic to warn of.
    elif left > (most := max(WEAKEST, tol) * size):
        _warn(
            f"{name.capitalize()}'s states no longer change, but their error is only known to be below "
            f"{bound.max():.1e} ({told}, units of the states up to {states.widest:.1e} apart)."
        )
    # Unless the contraction is so weak that it makes as much of the last digit of any state.
    elif summation_error(len(A)) > max(WEAKEST, tol) * (1 - states.nu) and bound.max(initial=0.0) > most:
        _warn(
            f"Near a contraction factor of 1, rounding errors grow: states as large as {size:.1e} are only known to "
            f"within {bound.max():.1e} ({told}). Scale A down, or train with a lower norm_bound."
        )
    # Not a lambda, which pickle could not store.
    return FixedPoint(found, n_iter, name, partial(np.asarray, bound))


def states_from(
    A: np.ndarray, drive: np.ndarray, activation: ElementwiseFunction, X: np.ndarray, tol: float
) -> np.ndarray:
    """The states of :func:`fixed_point` by "auto", without bound and warning: for steps of which many follow.

    Parameters are those of :func:`fixed_point`.

    Raises
    ------
    NotWellPosedError
        The contraction factor is 1 or more.
    """
    states, found = StateMap(A, drive, activation, None, tol), np.empty_like(drive)
    for part in parts(drive.shape[1], len(A)):
        found[:, part] = auto(states.take(part), X[:, part], MAX_ITER).new
    return found


def _warn(message: str) -> None:
    warn_convergence(f"{message} {see('states-are-not-found')}", stacklevel=3)
