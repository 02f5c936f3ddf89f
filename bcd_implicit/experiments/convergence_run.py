"""The theorem of global convergence with implicit layers, reproduced, and beside it one convex solve."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bcd_implicit.errors import InvalidInputError, check_choice
from bcd_implicit.experiments.convergence_curves import draw
from bcd_implicit.experiments.convergence_dynamics import allowed, gradient_descent, gradient_flow
from bcd_implicit.experiments.convergence_measures import (
    BOUNDS,
    OF_DESCENT,
    OF_FLOW,
    is_settled,
    newton_error,
    rates,
    solves,
    table,
)
from bcd_implicit.experiments.convergence_model import DeepLinear
from bcd_implicit.experiments.convergence_shallow import Expansion, Shallow
from bcd_implicit.model.implicit_model import ImplicitModel
from bcd_implicit.support.checks import check_number, random_generator
from bcd_implicit.support.choices import CONVERGENCE_LOSSES
from bcd_implicit.support.notices import warn_convergence
from bcd_implicit.support.threads import one_blas_thread
from bcd_implicit.terms.losses import get_loss

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The flow ends when the gap is this share of the first, or later, when its slowest part alone is left. If no W has
# the least loss there is no rate to wait for, and this share of the gradient's square ends it.
END, END_OF_GRADIENT = 1e-22, 1e-6
# Of the bounds' exponentials, whose exponents are below 500.
ROUNDING = 500 * np.finfo(float).eps
LARGEST_GAMMA = 0.99
# The integrator's Jacobian and the metric are full matrices.
MOST_WEIGHTS = 4000


@dataclass(frozen=True, repr=False)
class Convergence:
    """One run: the loss gap of gradient flow and descent, compared with the proved bounds.

    Attributes
    ----------
    title : str
    problem : Shallow
        Features Psi, targets Y and the loss.
    start, end : DeepLinear
        Where the flow begins and ends: A, B, gamma and W.
    best : Expansion
        The global optimum, by one convex solve. If no W attains the infimum, the optimum within the ball that contains
        the flow.
    flow, descent : DataFrame
        A row for each step: ``time`` (of descent, the sum of the step sizes), ``gap`` (the loss above the optimum),
        ``k`` and ``metric`` (lambda_min of D_t) at this point, the bounds ``theorem``, ``computed`` and
        ``integrated``, and ``lift``, by how much at most the step's error raised the gap.
    rates : Series
        Exponents a unit of time: ``theorem``, ``computed``, ``measured`` (from start to end), ``end`` (over the last
        e^-4 of the gap), ``end_predicted`` (the same for the flow linearised at its end), ``linearised`` (its slowest
        part, to which the slope tends). The last two are nan if no W attains the infimum.
    k_ball : float
        The constant of the loss for every W in the ball that contains flow and descent: the largest ``k``.
    newton_error : float
        The largest relative difference between the flow's direction and the trust-region Newton step, at three points.
    solves : DataFrame
        For each way to the optimum, ``seconds`` and ``gap``.
    seconds : float
    """

    title: str
    problem: Shallow
    start: DeepLinear
    end: DeepLinear
    best: Expansion
    flow: pd.DataFrame
    descent: pd.DataFrame
    rates: pd.Series
    k_ball: float
    newton_error: float
    solves: pd.DataFrame
    seconds: float

    def broken(self, faster: float = 1.0) -> pd.DataFrame:
        """Where a bound is broken by more than the steps' errors allow: no row, if the theorem is right.

        Parameters
        ----------
        faster : float
            Multiply the exponents of the bounds by this. With a large factor, the bounds must be broken at some point.

        Returns
        -------
        DataFrame
            ``dynamic``, ``bound``, ``time``, ``gap`` and ``allowed``.
        """
        rows = []
        for dynamic, run in (("flow", self.flow), ("descent", self.descent)):
            first = math.log(run["gap"].iloc[0])
            for bound in BOUNDS:
                exponents = faster * (np.log(run[bound].to_numpy()) - first)
                limit = allowed(first + exponents, run["lift"].to_numpy())
                over = run.loc[run["gap"] > limit * (1 + ROUNDING), ["time", "gap"]]
                rows.append(over.assign(dynamic=dynamic, bound=bound, allowed=limit[over.index]))
        return pd.concat(rows, ignore_index=True)[["dynamic", "bound", "time", "gap", "allowed"]]

    def __repr__(self) -> str:
        points = len(self.flow) + len(self.descent)
        return f"<convergence: {self.title}; bounds broken at {len(self.broken())} of {points} points>"

    @property
    def model(self) -> ImplicitModel:
        """The end of the flow as an implicit model of the features, x = gamma sigma(A) x + psi, y = B x."""
        identity = np.eye(len(self.end.A))
        return ImplicitModel(self.end.gamma * self.end.S, identity, None, self.end.B, activation="identity")

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the gap of the flow against time, with its bounds; on the current axes by default."""
        return draw(self.flow, self.rates["linearised"], ax)

    @property
    def report(self) -> dict[str, Any]:
        """The contents of ``report.json``; rates that do not exist are null."""
        (q, n), m = self.start.W.shape, self.problem.Psi.shape[1]
        columns = ["time", "gap", *BOUNDS]
        return {
            "n_hidden": n,
            "n_outputs": q,
            "n_samples": m,
            "gamma": self.start.gamma,
            "loss": self.problem.loss.name,
            "optimum": self.best.loss,
            "radius": self.best.radius if np.isfinite(self.best.radius) else None,
            "rates": {name: float(rate) if np.isfinite(rate) else None for name, rate in self.rates.items()},
            "k": float(self.flow["k"].min()),
            "k_ball": self.k_ball,
            "broken": self.broken().to_dict("records"),
            "newton_error": self.newton_error,
            "solves": self.solves.to_dict("index"),
            "flow": self.flow[columns].to_dict("list"),
            "descent": self.descent[columns].to_dict("list"),
            "seconds": self.seconds,
        }


def convergence(
    n_hidden: int = 8,
    n_outputs: int = 20,
    n_samples: int = 30,
    *,
    gamma: float = 0.9,
    loss: str = "squared",
    random_state: int | np.random.Generator | None = 0,
    horizon: float | None = None,
    n_steps: int = 1000,
) -> Convergence:
    """Gradient flow and descent of a deep equilibrium model that is linear in its features, with the proved bounds.

    The model is f(u) = B (I - gamma sigma(A))^-1 psi(u), with sigma the softmax of each column and psi fixed random
    features. Its loss is not convex in (A, B), but the gap to the global optimum falls at a linear rate, for any width.
    ``docs/convergence.md`` proves it, with the constants.

    Parameters
    ----------
    n_hidden : int
        Width n: A is n x n, and psi(u) has n entries.
    n_outputs : int
        q; classes of the cross-entropy, at least 2.
    n_samples : int
        m, at least 2.
    gamma : float in (0, 0.99]
    loss : {"squared", "cross-entropy"}
        Summed over samples; the squared loss without a factor of a half.
    random_state : int, Generator or None
        Seed of data, features and start.
    horizon : float, optional
        The time at which the flow ends. By default it ends when the gap is 1e-22 of the initial one and its slope is
        that of the slowest part. If no W attains the infimum, it ends when the gradient in W is 1e-3 of the initial
        one.
    n_steps : int
        The largest number of steps of gradient descent.

    Returns
    -------
    Convergence

    Raises
    ------
    InvalidInputError
        An argument is out of range.

    Warns
    -----
    ConvergenceWarning
        The integrator gave up before the end.

    References
    ----------
    Kawaguchi, "On the theory of implicit deep learning: global convergence with implicit layers", ICLR 2021.

    Examples
    --------
    >>> run = convergence(4, 6, 10)
    >>> len(run.broken()), len(run.broken(faster=30)) > 0
    (0, True)
    """
    begin = time.perf_counter()
    n = check_number("n_hidden", n_hidden, 1, integer=True)
    check_choice("loss", loss, CONVERGENCE_LOSSES)
    q = check_number("n_outputs", n_outputs, 1 if loss == "squared" else 2, integer=True)
    m = check_number("n_samples", n_samples, 2, integer=True)
    remedy = "Nearer to 1 the inverse of I - gamma sigma(A) has too few correct digits"
    gamma = check_number("gamma", gamma, 0, LARGEST_GAMMA, boundaries="right", remedy=remedy)
    if n * (n + q) > MOST_WEIGHTS:
        cause = f"{n} hidden features and {q} outputs make {n * (n + q)} weights"
        raise InvalidInputError("n_hidden", cause, f"At most {MOST_WEIGHTS} are feasible: choose smaller numbers")
    if horizon is not None:
        horizon = check_number("horizon", horizon, 0, boundaries="neither")
    n_steps = check_number("n_steps", n_steps, 1, integer=True)
    rng = random_generator(random_state)
    problem = _draw_problem(n, q, m, loss, rng)
    A, B = rng.standard_normal((n, n)), rng.standard_normal((q, n)) / math.sqrt(n)
    start = DeepLinear.of_weights(A, B, gamma)
    title = f"n = {n}, q = {q}, m = {m}, gamma = {gamma:g}, {loss} loss"
    # Thousands of small products.
    with one_blas_thread():
        return _run(title, problem, start, horizon, n_steps, begin)


def _draw_problem(n: int, q: int, m: int, loss: str, rng: np.random.Generator) -> Shallow:
    """Random features tanh(Vu + v) of inputs in R^n; targets linear in u with noise, or as many samples of each class.

    Classes are round clouds that overlap.
    """
    if loss == "squared":
        inputs = rng.standard_normal((n, m))
        Y = rng.standard_normal((q, n)) @ inputs / math.sqrt(n) + 0.5 * rng.standard_normal((q, m))
    else:
        classes = np.arange(m) % q
        inputs = rng.standard_normal((n, q))[:, classes] + rng.standard_normal((n, m))
        Y = np.eye(q)[:, classes]
    V = rng.standard_normal((n, n)) / math.sqrt(n)
    return Shallow(np.tanh(V @ inputs + rng.standard_normal((n, 1))), Y, get_loss(loss))


def _run(
    title: str, problem: Shallow, start: DeepLinear, horizon: float | None, n_steps: int, begin: float
) -> Convergence:
    best = problem.minimize() if problem.is_attained() else None
    around, share = best or problem.expand(np.zeros_like(start.W)), END if best else END_OF_GRADIENT
    flow = gradient_flow(
        problem, around, start, share, horizon, lambda at, w: best is None or is_settled(problem, best, at, w)
    )
    if not flow.finished:
        cause = f"the integrator gave up at time {flow.times[-1]:.3g}, before the flow's end"
        warn_convergence(f"{title}: {cause}. The bounds hold up to there; ask for a shorter horizon.", stacklevel=3)
    descent = gradient_descent(problem, around, start, share, n_steps)
    farthest = max(float(np.linalg.norm(problem.part(at.W))) for at in [*flow.points, *descent.points])
    if best is None:
        best = problem.minimize(radius=farthest)
        away = problem.part(around.W - best.W)
        flow, descent = (replace(run, parts=run.parts + away) for run in (flow, descent))
    tables = {
        "flow": table(problem, best, flow, OF_FLOW, DeepLinear.least_metric, between_ends=True),
        "descent": table(problem, best, descent, OF_DESCENT, lambda at: at.condition**-2),
    }
    ends = {"gradient flow": flow, "gradient descent": descent}
    reached = {name: (run.seconds, problem.rise(run.parts[-1], best)) for name, run in ends.items()}
    return Convergence(
        title=title,
        problem=problem,
        start=start,
        end=flow.points[-1],
        best=best,
        **tables,
        rates=rates(problem, best, tables["flow"], flow),
        k_ball=problem.constant_of_ball(max(farthest, float(np.linalg.norm(problem.part(best.W))))),
        newton_error=max(
            newton_error(problem, flow.points[i], problem.gradient_near(flow.parts[i], best))
            for i in (0, len(flow.points) // 2, -1)
        ),
        solves=pd.DataFrame.from_dict(
            reached | solves(problem, best, start), orient="index", columns=["seconds", "gap"]
        ),
        seconds=time.perf_counter() - begin,
    )
