"""Newton's method for states: solve (I - SA) dx = phi(Ax + c) - x with S = diag(phi'), sample by sample.

For piecewise-linear activations the equation is linear once the pattern of active pieces is right: a few rounds find
the pattern, and the state is exact. It then is an active-set method, and costs the same for every contraction factor.
For smooth activations it is Newton's method, quadratically convergent. That it ends is not proved for every A:
samples that do not settle go to Picard, which contracts from anywhere. If states are held back by large negative
entries on the diagonal of A, Newton goes back and forth between flat parts of phi, and Picard's damped steps are
short. So it begins where each of these states solves its own equation, the others as they are.
"""

from __future__ import annotations

import numpy as np

from bcd_implicit.model.picard import picard
from bcd_implicit.model.rounding import EPS
from bcd_implicit.model.state_map import Reached, StateMap
from bcd_implicit.support.parts import parts

#: Samples that have not settled by then go to Picard. Two to five rounds are usual.
MAX_ROUNDS = 10
#: Samples of one pattern share an inverse where they are this many on average: it costs as much as three solves.
SHARED_BY = 4
#: If steps are damped, states solve their own equations first, so often at the most and in at most so many steps,
#: until preactivations move by less than this: phi is about straight there.
MOST_SWEEPS, MOST_STEPS, NEAR = 200, 100, 0.1
#: From this many hidden features for each right-hand side on it pays to leave rows of slope zero out of the systems.
WORTH_REDUCING = 16


def active_set(states: StateMap, X: np.ndarray, max_iter: int) -> Reached:
    """Rounds of Newton on the samples that have not settled; Picard on those that do not settle."""
    start, X = X, X.copy()
    if states.damping is not None and not states.activation.projection:
        X = _swept(states, X)
    Z = states.preactivation(X)
    target = states.activation(Z)
    new = states.damped_to(X, Z, target)
    settled = states.settled(X, new, np.abs(new).max(axis=0))
    # The largest state of samples that have settled.
    largest = float(np.abs(new[:, settled]).max(initial=0.0))
    unsettled = np.flatnonzero(~settled)
    some, n_rounds, target = states.take(unsettled), 0, target[:, unsettled]
    slopes = states.activation.derivative(Z[:, unsettled])
    for n_rounds in range(1, min(MAX_ROUNDS, max_iter) + 1):
        if not unsettled.size:
            n_rounds -= 1
            break
        here = X[:, unsettled]
        here += newton_step(states.A, slopes, target - here)
        Z = some.preactivation(here)
        target = some.activation(Z)
        stepped = some.damped_to(here, Z, target)
        X[:, unsettled], new[:, unsettled] = here, stepped
        # States of samples on the way may be far too large, and others must not be measured by these.
        left = ~some.settled(here, stepped, np.maximum(np.abs(stepped).max(axis=0), largest))
        largest = float(np.abs(stepped[:, ~left]).max(initial=largest))
        unsettled, slopes, some = unsettled[left], some.activation.derivative(Z[:, left]), some.take(left)
        target = target[:, left]
    if not unsettled.size or n_rounds == max_iter:
        return Reached(X, new, n_rounds, not unsettled.size, "active-set")
    return _by_picard(states, start, Reached(X, new, n_rounds, False, "active-set"), unsettled, max_iter)


def _by_picard(states: StateMap, start: np.ndarray, reached: Reached, samples: np.ndarray, max_iter: int) -> Reached:
    """The same with some samples solved by Picard, from where the last change is smaller: here or at the start."""
    some, X, new = states.take(samples), reached.X, reached.new
    begin, here = start[:, samples], new[:, samples]
    first, last = (some.in_units(change).max(axis=0) for change in (some.step(begin) - begin, here - X[:, samples]))
    # Not >=: what is not a number does not pass.
    rest = picard(some, np.where(last < first, here, begin), max_iter - reached.n_iter)
    X[:, samples], new[:, samples] = rest.X, rest.new
    return Reached(X, new, reached.n_iter + rest.n_iter, rest.settled, f"active-set + {rest.solver}")


def _swept(states: StateMap, X: np.ndarray) -> np.ndarray:
    """Jacobi's method, from X to where Newton's is safe."""
    sizes = np.abs(states.A)
    for _ in range(MOST_SWEEPS):
        before, X = X, own_roots(states, X)
        if float((sizes @ np.abs(X - before)).max()) < NEAR:
            break
    return X


def own_roots(states: StateMap, X: np.ndarray) -> np.ndarray:
    """Each state that is held back as ``x_i = phi(a_ii x_i + c_i)`` has it, the others in c as in X; these by phi.

    ``x - phi(a x + c)`` rises, by 1 or more for each unit of x, so that the root is no farther off than its value:
    Newton's method between ends that this keeps, and half-way where it does not bring half of that.
    """
    held = np.flatnonzero(states.damping[:, 0] < 1) if states.damping is not None else np.zeros(0, dtype=int)
    a, phi, others = states.A[held, held][:, None], states.activation.take(held), states.A.copy()
    others[held, held] = 0.0
    c = others @ X + states.drive
    found, x, c = states.activation(c), X[held], c[held]
    low, high, before = np.full_like(x, -np.inf), np.full_like(x, np.inf), np.inf
    for _ in range(MOST_STEPS):
        z = a * x + c
        missed = x - phi(z)
        low, high = np.maximum(low, np.minimum(x, x - missed)), np.minimum(high, np.maximum(x, x - missed))
        step = missed / (1 - a * phi.derivative(z))
        to = x - step
        good = (low <= to) & (to <= high) & (np.abs(missed) <= 0.5 * before)
        done = np.abs(step) <= 2 * EPS * np.abs(x)
        x, before = np.where(done, x, np.where(good, to, 0.5 * low + 0.5 * high)), np.abs(missed)
        if done.all():
            break
    found[held] = x
    return found


def newton_step(A: np.ndarray, slopes: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """(I - SA)^-1 residual, S = diag(slopes), sample by sample; NaN where singular.

    Parameters
    ----------
    A : ndarray of shape (n, n)
    slopes : ndarray of shape (n, m)
    residual : ndarray of shape (n, m), or (n, m, r) for several right-hand sides a sample

    Returns
    -------
    ndarray of the shape of ``residual``
    """
    first, members = patterns(slopes)
    sides = residual.reshape(*slopes.shape, -1)
    try:
        if len(first) * SHARED_BY <= slopes.shape[1]:
            step = _by_pattern(A, slopes[:, first], sides, members)
        else:
            step = _by_sample(A, slopes.T, sides.swapaxes(0, 1)).swapaxes(0, 1)
    # Not met with ||A||_inf < 1; then in another pattern, or at Picard's hands, the sample settles.
    except np.linalg.LinAlgError:
        return np.full_like(residual, np.nan)
    return step.reshape(residual.shape)


def patterns(slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A sample of each pattern of slopes (n, m), and for every sample the number of its pattern."""
    _, first, members = np.unique(_keys(slopes), return_index=True, return_inverse=True)
    return first, members


def count_patterns(slopes: np.ndarray) -> int:
    """How many patterns of slopes (n, m) there are."""
    return len(np.unique(_keys(slopes)))


def _keys(slopes: np.ndarray) -> np.ndarray:
    """A number for each column, the same for the same slopes."""
    # Comparing columns costs as much as a round. Two patterns of one number would do no harm: the samples of one of
    # them would not settle, and go to Picard.
    return np.sin(np.arange(1.0, len(slopes) + 1)) @ slopes


def _by_pattern(A: np.ndarray, slopes: np.ndarray, residual: np.ndarray, members: np.ndarray) -> np.ndarray:
    """One inverse for all samples of a pattern."""
    n, n_patterns = slopes.shape
    order = np.argsort(members, kind="stable")
    n_sides = residual.shape[2]
    ends = (n_sides * np.cumsum(np.bincount(members, minlength=n_patterns))).tolist()
    # The sides of a sample are neighbouring columns.
    ordered, step, begin = residual[:, order].reshape(n, -1), np.empty_like(residual), 0
    for part in parts(n_patterns, n * n):
        inverses = np.linalg.inv(np.eye(n) - slopes[:, part].T[:, :, None] * A)
        for inverse, end in zip(inverses, ends[part], strict=True):
            ordered[:, begin:end] = inverse @ ordered[:, begin:end]
            begin = end
    step[:, order] = ordered.reshape(residual.shape)
    return step


def _by_sample(A: np.ndarray, slopes: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """One system for each sample; samples come first here, (m, n) and (m, n, r)."""
    n, step = len(A), np.empty_like(residual)
    n_active = np.count_nonzero(slopes, axis=1)
    # Where the slope is zero a row of I - SA is one of I. Samples with about as many others are solved together.
    reduce = n >= WORTH_REDUCING * residual.shape[2] and n_active.mean() < 0.75 * n
    order = np.argsort(n_active) if reduce else np.arange(len(slopes))
    for part in parts(len(slopes), n * n):
        here = order[part]
        size = int(n_active[here[-1]]) if reduce else n
        S, r = slopes[here], residual[here]
        if size < n:
            step[here] = _reduced(A, S, r, size)
        else:
            step[here] = _solve(A, S, r)
    return step


def _solve(A: np.ndarray, slopes: np.ndarray, residual: np.ndarray) -> np.ndarray:
    matrices = slopes[:, :, None] * -A
    diagonal = np.arange(A.shape[-1])
    matrices[:, diagonal, diagonal] += 1.0
    return np.linalg.solve(matrices, residual)


def _reduced(A: np.ndarray, slopes: np.ndarray, residual: np.ndarray, size: int) -> np.ndarray:
    """The same where at most ``size`` slopes of a sample are not zero: the others' steps are their residuals."""
    rows = np.argsort(slopes == 0, axis=1, kind="stable")[:, :size]
    S, places, step = np.take_along_axis(slopes, rows, axis=1), rows[:, :, None], residual.copy()
    np.put_along_axis(step, places, 0.0, axis=1)
    right = residual + slopes[:, :, None] * np.tensordot(step, A, axes=(1, 1)).swapaxes(1, 2)
    right = np.take_along_axis(right, places, axis=1)
    np.put_along_axis(step, places, _solve(A[places, rows[:, None, :]], S, right), axis=1)
    return step
