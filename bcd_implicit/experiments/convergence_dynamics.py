"""Gradient flow and gradient descent of the deep model, and how far rounding and integration can take them off."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from bcd_implicit.experiments.convergence_model import DeepLinear
from bcd_implicit.experiments.convergence_shallow import Expansion, Shallow

# The flow is integrated in stages, each of which ends at this share of what was left at its beginning. In each the
# integrator keeps its estimate of a step's error in every entry below ACCURACY times the square root of what was left,
# as a gap is about the square of a distance: so even a small end is resolved. RELATIVE is the least that it takes.
STAGE, ACCURACY, RELATIVE = 1e-6, 1e-7, 100 * np.finfo(float).eps
# Distances, the square roots of gaps, and their squares are numbers still.
SMALLEST = 1e-200
# Long enough for every flow that ends by itself; stiff steps grow without a bound.
FOREVER = 1e12
# Gradient descent tries a step this much longer than the last, and halves it until it is accepted.
LONGER = 1.2
SHORTEST = 1e-18


@dataclass(frozen=True)
class Trajectory:
    """The points that a dynamic passed.

    Attributes
    ----------
    times : ndarray of shape (N,)
        Of gradient descent, the sums of the step sizes.
    points : list of N DeepLinear
    parts : ndarray of shape (N, s, r)
        The part of W that changes the loss, less that of the point around which the loss was expanded. Near it these
        have more right digits than W itself.
    errors : ndarray of shape (N,)
        How far off, at most, the last step may have led this part, in the Frobenius norm; 0 for the start.
    seconds : float
    finished : bool
        Whether the end was reached: the time asked for, or the share of what was left.
    """

    times: np.ndarray
    points: list[DeepLinear]
    parts: np.ndarray
    errors: np.ndarray
    seconds: float
    finished: bool


def left(problem: Shallow, w: np.ndarray, around: Expansion) -> float:
    """How far a point is from the end: the gap; where the expansion is around no optimum, the gradient's square."""
    if around.slope.any():
        return float(np.sum(problem.gradient_near(w, around) ** 2))
    return problem.rise(w, around)


def gradient_flow(
    problem: Shallow,
    around: Expansion,
    start: DeepLinear,
    share: float,
    horizon: float | None = None,
    settled: Callable[[DeepLinear, np.ndarray], bool] = lambda at, w: True,
) -> Trajectory:
    """A' = -dL/dA, B' = -dL/dB, by backward differentiation formulas, which take stiff problems.

    The variables are A and the distance of W from a point, in the bases of ``Shallow``, so that a distance that
    shrinks keeps its digits, and so does the gradient.

    Parameters
    ----------
    problem : Shallow
    around : Expansion
        The optimum, if there is one.
    start : DeepLinear
    share : float
        The flow ends when what is :func:`left` is this share of what it was at the start.
    horizon : float, optional
        The time to end at instead, unless the share SMALLEST comes first.
    settled : callable
        Of a point and its part: whether the flow may end there. If not, it goes on, down to the share SMALLEST.

    Returns
    -------
    Trajectory
        A point for each step of the integrator; its interpolation between them is less exact.
    """
    (q, n), gamma, begin = start.W.shape, start.gamma, time.perf_counter()
    Q, P, (s, r) = problem.all_outputs, problem.all_inputs, around.slope.shape

    def points_of(A: np.ndarray, X: np.ndarray) -> DeepLinear:
        return DeepLinear(A.reshape(-1, n, n), around.W + Q @ X.reshape(-1, q, n) @ P.T, gamma)

    def at(y: np.ndarray) -> DeepLinear:
        return DeepLinear(y[: n * n].reshape(n, n), points_of(y[: n * n], y[n * n :]).W[0], gamma)

    def part(y: np.ndarray) -> np.ndarray:
        return y[..., n * n :].reshape(*y.shape[:-1], q, n)[..., :s, :r]

    def velocity(_: float, y: np.ndarray) -> np.ndarray:
        # One point, shape (dim,), or several for a Jacobian by differences, shape (dim, K).
        rows = y.T.reshape(-1, len(y))
        here = points_of(rows[:, : n * n], rows[:, n * n :])
        in_A, in_B = here.gradients(problem.lift(problem.gradient_near(part(rows), around)))
        turned = Q.T @ here.moved(-in_A, -in_B) @ P
        return np.hstack([-in_A.reshape(len(rows), -1), turned.reshape(len(rows), -1)]).T.reshape(y.shape)

    y = np.concatenate([start.A.ravel(), (Q.T @ (start.W - around.W) @ P).ravel()])
    times, path, errors = [0.0], [y], [0.0]
    first = value = left(problem, part(y), around)
    end = FOREVER if horizon is None else horizon
    least = first * (share if horizon is None else SMALLEST)
    while value > least and times[-1] < end:
        amount, goal = ACCURACY * np.sqrt(value), max(STAGE * value, least)

        def below(_: float, y: np.ndarray, goal: float = goal) -> float:
            return float(np.log(max(left(problem, part(y), around), np.finfo(float).tiny) / goal))

        below.terminal = True  # type: ignore[attr-defined]
        stage = solve_ivp(
            velocity,
            (times[-1], end),
            path[-1],
            method="BDF",
            rtol=RELATIVE,
            atol=amount,
            events=below,
            vectorized=True,
        )
        passed = stage.y.T[1:]
        times.extend(stage.t[1:])
        path.extend(passed)
        # The integrator bounds the root mean square of error / (amount + RELATIVE |entry|) by 1.
        largest = np.abs(part(passed)).max(axis=(1, 2))
        errors.extend(np.sqrt(y.size) * (amount + RELATIVE * largest))
        if stage.status < 0:
            break
        value = goal
        if value <= least and not settled(at(path[-1]), part(path[-1])):
            least = max(STAGE * value, SMALLEST * first)
    points = [at(y) for y in path]
    finished = value <= least or times[-1] >= end
    seconds = time.perf_counter() - begin
    return Trajectory(np.array(times), points, part(np.array(path)), np.array(errors), seconds, finished)


def gradient_descent(problem: Shallow, around: Expansion, start: DeepLinear, share: float, n_steps: int) -> Trajectory:
    """Steps along the negative gradient, each half as good at least as its linear model says (Armijo).

    An accepted step of size eta lowers the loss by eta/2 times the squared gradient at least, whatever the curvature.

    Parameters
    ----------
    problem, around, start, share
        As in :func:`gradient_flow`.
    n_steps : int
        The largest number.
    """
    begin, A, B = time.perf_counter(), start.A, start.B
    points, sizes, size = [start], [0.0], 1.0
    parts = [problem.part(start.W - around.W)]
    goal = share * left(problem, parts[0], around)
    while len(sizes) <= n_steps and left(problem, parts[-1], around) > goal:
        in_A, in_B = points[-1].gradients(problem.lift(problem.gradient_near(parts[-1], around)))
        value, slope = problem.rise(parts[-1], around), float(np.sum(in_A**2) + np.sum(in_B**2))
        size *= 2 * LONGER
        while size > SHORTEST:
            size /= 2
            new = DeepLinear.of_weights(A - size * in_A, B - size * in_B, start.gamma)
            w = problem.part(new.W - around.W)
            if problem.rise(w, around) <= value - size / 2 * slope:
                break
        else:
            break
        A, B = A - size * in_A, B - size * in_B
        points.append(new)
        parts.append(w)
        sizes.append(size)
    rounding = [np.finfo(float).eps * p.reach() * np.hypot(np.linalg.norm(p.A), np.linalg.norm(p.B)) for p in points]
    finished = left(problem, parts[-1], around) <= goal
    errors, seconds = np.array([0.0, *rounding[1:]]), time.perf_counter() - begin
    return Trajectory(np.cumsum(sizes), points, np.array(parts), errors, seconds, finished)


def allowed(bound: np.ndarray, lifts: np.ndarray) -> np.ndarray:
    """What a gap may be that has to stay below a bound, where the steps are not exact; shape (N,).

    From every point the exact dynamic brings the gap down as the bound falls; then the error of a step lifts it. So
    what lies above the bound falls with it as well: s_(i+1) = s_i b_(i+1) / b_i + lift_(i+1).

    Parameters
    ----------
    bound : ndarray of shape (N,)
        The logarithm of the bound.
    lifts : ndarray of shape (N,)
        How much the error of each step may have lifted the gap: the loss is convex in W, so that it is no more than
        ||G|| times the error.
    """
    above = np.zeros(len(bound))
    for i, decay in enumerate(np.exp(np.diff(bound))):
        above[i + 1] = above[i] * decay + lifts[i + 1]
    return np.asarray(np.exp(bound) + above)
