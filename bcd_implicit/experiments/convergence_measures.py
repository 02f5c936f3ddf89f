"""What is measured of a run: the gap beside its bounds, the rates, the Newton step, and other ways to the optimum."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular

from bcd_implicit.blocks import solve_block
from bcd_implicit.experiments.convergence_dynamics import Trajectory
from bcd_implicit.experiments.convergence_model import DeepLinear, proved_metric
from bcd_implicit.experiments.convergence_shallow import Expansion, Shallow
from bcd_implicit.experiments.trust_region import trust_region_step
from bcd_implicit.problem import Iterate, TrainingProblem

BOUNDS = ("theorem", "computed", "integrated")
# Exponents, as multiples of k times the metric: an accepted step of descent wins half of what the flow would.
OF_FLOW, OF_DESCENT = 2.0, 1.0
# The last slope is that over the end of the flow in which the gap falls by e^-4.
LAST = 4.0
# By how much the slope may differ from the slowest part's where the flow ends.
SETTLED = 0.01


def table(
    problem: Shallow,
    best: Expansion,
    trajectory: Trajectory,
    exponent: float,
    metric: Callable[[DeepLinear], float],
    between_ends: bool = False,
) -> pd.DataFrame:
    """The gap and its bounds at every point of a trajectory, as ``Convergence`` describes them.

    Parameters
    ----------
    problem : Shallow
    best : Expansion
    trajectory : Trajectory
    exponent : float
        The gap falls by exponent times k times the metric in a unit of time.
    metric : callable
        Of a point: lambda_min of its metric, or less.
    between_ends : bool
        Whether a step passes all points between its ends, so that the lesser of their rates counts; else it keeps that
        of its first point.
    """
    times, points = trajectory.times, trajectory.points
    # Of the end of a ball rounding may make it negative.
    gaps = np.array([max(problem.rise(w, best), np.finfo(float).tiny) for w in trajectory.parts])
    slopes = np.array([np.linalg.norm(problem.gradient_near(w, best)) for w in trajectory.parts])
    at_best = problem.least_curvatures(best.W)
    ks = np.array([problem.constant(np.minimum(at_best, problem.least_curvatures(at.W))) for at in points])
    metrics = np.array([metric(at) for at in points])
    speeds = ks * metrics
    of_steps = np.minimum(speeds[:-1], speeds[1:]) if between_ends else speeds[:-1]
    exponents = {
        "theorem": ks.min() * proved_metric(len(points[0].A), points[0].gamma) * times,
        "computed": ks.min() * metrics.min() * times,
        "integrated": np.concatenate([[0.0], np.cumsum(of_steps * np.diff(times))]),
    }
    bounds = {name: gaps[0] * np.exp(-exponent * exponents[name]) for name in BOUNDS}
    return pd.DataFrame(
        {"time": times, "gap": gaps, "k": ks, "metric": metrics, **bounds, "lift": slopes * trajectory.errors}
    )


def rates(problem: Shallow, best: Expansion, flow: pd.DataFrame, trajectory: Trajectory) -> pd.Series:
    """The exponents of the bounds and of the flow, as ``Convergence`` describes them."""
    times, logs = flow["time"].to_numpy(), np.log(flow["gap"].to_numpy())
    start = min(int(np.argmax(logs <= logs[-1] + LAST)), len(logs) - 2)
    duration = times[-1] - times[start]
    end = trajectory.points[-1]
    metrics = {"theorem": proved_metric(len(end.A), end.gamma), "computed": flow["metric"].min()}
    found = {name: OF_FLOW * flow["k"].min() * metric for name, metric in metrics.items()}
    found |= {"measured": (logs[0] - logs[-1]) / times[-1], "end": (logs[start] - logs[-1]) / duration}
    predicted = slowest = math.nan
    if np.isinf(best.radius):
        speeds, energies = _modes(problem, best, end, trajectory.parts[start])
        slowest = 2 * speeds[0]
        left = float(energies @ np.exp(-2 * (speeds - speeds[0]) * duration))
        predicted = slowest + math.log(energies.sum() / left) / duration
    return pd.Series(found | {"end_predicted": predicted, "linearised": slowest}, name="rate")


def is_settled(problem: Shallow, best: Expansion, at: DeepLinear, w: np.ndarray) -> bool:
    """Whether the slowest part is nearly all that is left of the flow made linear here: the slope is nearly its own."""
    speeds, energies = _modes(problem, best, at, w)
    return bool(energies @ speeds <= (1 + SETTLED) * speeds[0] * energies.sum())


def _modes(problem: Shallow, best: Expansion, end: DeepLinear, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The flow made linear at its end: the speeds of its parts, ascending, and how much of the gap each has at a w.

    In T it is w' = -D H w, and the gap is 1/2 w' H w. With H = L L' and y = L' w y' = -(L' D L) y.
    """
    L, basis = np.linalg.cholesky(problem.hessian(best.W)), np.kron(problem.inputs, problem.outputs)
    speeds, Q = np.linalg.eigh(L.T @ basis.T @ end.metric() @ basis @ L)
    return speeds, (Q.T @ L.T @ w.ravel(order="F")) ** 2


def newton_error(problem: Shallow, at: DeepLinear, gradient: np.ndarray) -> float:
    """How far W' of gradient flow is from a step of the shallow model's trust-region Newton method, relatively.

    For delta small enough that the metric D^-1 - delta H is positive definite, delta W' is the step in the ball of the
    radius delta ||W'|| of that metric. Here delta is half of the largest.
    """
    G = problem.lift(gradient)
    in_A, in_B = at.gradients(G)
    direction = at.moved(-in_A, -in_B).ravel(order="F")
    basis, L = np.kron(problem.inputs, problem.outputs), np.linalg.cholesky(at.metric())
    # In u with v = L u and D = L L', where the metric is I - delta L' H L: D itself may have no exact inverse.
    half = problem.hessian(at.W) @ basis.T @ L
    H = L.T @ basis @ half
    delta = 0.5 / float(np.linalg.eigvalsh(H)[-1])
    metric = np.eye(len(H)) - delta * H
    u = solve_triangular(L, delta * direction, lower=True)
    step = L @ trust_region_step(L.T @ G.ravel(order="F"), H, metric, math.sqrt(float(u @ metric @ u)))
    return float(np.linalg.norm(step - delta * direction) / np.linalg.norm(delta * direction))


def solves(problem: Shallow, best: Expansion, start: DeepLinear) -> dict[str, tuple[float, float]]:
    """Ways to the optimum, with the seconds that they took and the gap that they left.

    The model is linear in B. So one convex solve for W, of which B = W U makes a deep model with any A, or one solve of
    the output block with the A of the start, is enough. The latter needs a W of least loss.
    """
    rows = {
        "one solve for W, B = WU": (best.seconds, DeepLinear.of_weights(start.A, best.W @ start.U, start.gamma)),
    }
    if np.isinf(best.radius):
        rows["output block"] = output_block(problem, start)
    # As above.
    gaps = {name: max(problem.rise(problem.part(at.W - best.W), best), 0.0) for name, (_, at) in rows.items()}
    return {name: (rows[name][0], gap) for name, gap in gaps.items()}


def output_block(problem: Shallow, start: DeepLinear, solver: str = "native") -> tuple[float, DeepLinear]:
    """The seconds of one solve of the package's output block, states and A fixed, and the model that it gives."""
    (q, n), U, Y = start.W.shape, problem.Psi, problem.Y
    parts = TrainingProblem(
        U.T,
        Y.T,
        n,
        activation="identity",
        loss=problem.loss,
        kappa=0.0,
        ridge=0.0,
        ridge_hidden=0.0,
        fit_intercept=False,
        pass_through=False,
        standardize=False,
    )
    it = Iterate(
        A=start.gamma * start.S,
        B=np.eye(n),
        b=np.zeros(n),
        C=start.B,
        D=np.zeros((q, n)),
        d=np.zeros(q),
        X=start.inverse @ U,
    )
    begin = time.perf_counter()
    C = solve_block(parts, it, "output", solver=solver).iterate.C
    return time.perf_counter() - begin, DeepLinear.of_weights(start.A, C, start.gamma)
