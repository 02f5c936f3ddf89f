"""Proximal Newton for the two blocks in (A, B, b): the native solver of the hidden and the prox-linear block.

    min over T = (A, B, b)   f(T) + ridge/2 (||A||^2 + ||B||^2) + group lasso of B      s.t. rows of A in the l1 ball

f is smooth and convex. At the optimum some entries of A and some columns of B are zero, and some rows of A lie on
the boundary of their ball. Among the points that share these zeros, signs and boundaries, a *face*, the
objective is smooth. One iteration is

    1. a proximal-gradient step in a diagonal metric, which finds the face: a zero column whose gradient is longer
       than kappa enters, whatever the step;
    2. a Newton step inside the face, with a line search along the arc that sets to zero what would change its sign.

On the right face Newton's method converges quadratically, so the last digits cost next to nothing (Bareilles,
Iutzeler, Malick, *Newton acceleration on manifolds identified by proximal gradient methods*, arXiv 2012.12936).
Most solves take three to six iterations, almost independently of size and conditioning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bcd_implicit.penalties import column_norms
from bcd_implicit.problem import TrainingProblem

MAX_ITERATIONS = 1000
ARMIJO = 1e-4
HALVINGS, SHRINKINGS, POLISHINGS = 12, 5, 10
# The least damping of Newton's model, relative to the curvature bound; with less there is none.
LEAST_DAMPING = 1e-6
# The Newton matrix, scaled to unit diagonal, is lifted by this much: collinear inputs make it singular.
LIFT = 1e-12
# Systems that need more numbers than this (160 MB) are not factorised.
LARGEST_SYSTEM = 20_000_000
# Conjugate gradients: the reduction asked for, the fewest steps worth starting, the most to take, and the calls of
# one step in units of floating-point operations.
CG_TOL, LEAST_CG_STEPS, MOST_CG_STEPS, STEP_OVERHEAD = 0.1, 4, 200, 1e6
# The least curvature that the preconditioner takes a row for, relative to the largest.
FLOOR, TINY = 1e-6, 1e-100


class Hessian(Protocol):
    """The second derivative of f at one point.

    Attributes
    ----------
    rows : ndarray of shape (n, n)
        Its part between rows, averaged over samples: the Hessian is near rows kron diag(columns).
    columns : ndarray of shape (P,)
        Mean squares of the regressors.
    """

    rows: np.ndarray
    columns: np.ndarray

    def product(self, V: np.ndarray) -> np.ndarray:
        """Its product with V, shape (n, P)."""
        ...

    def cost(self, free: np.ndarray) -> tuple[float, float]:
        """Floating-point operations of :meth:`solve` and of :meth:`product`."""
        ...

    def storage(self, free: np.ndarray) -> int:
        """How many numbers :meth:`solve` holds at once."""
        ...

    def solve(self, free: np.ndarray, diagonal: np.ndarray, R: np.ndarray) -> np.ndarray:
        """Solve (H + diagonal) X = R on the free entries for every right-hand side; R and X are (k, n, P)."""
        ...


class Smooth(Protocol):
    """The smooth part f of a block.

    Attributes
    ----------
    curvature : ndarray of shape (P,)
        The diagonal of a bound on the Hessian, averaged over the rows of T.
    """

    curvature: np.ndarray

    def value_and_gradient(self, T: np.ndarray) -> tuple[float, np.ndarray]:
        """f(T) and its gradient, shape (n, P)."""
        ...

    def hessian(self, T: np.ndarray) -> Hessian:
        """The second derivative at T, or one element of the generalised one."""
        ...


@dataclass(frozen=True)
class Face:
    """The smooth piece of the objective on which a point lies.

    Attributes
    ----------
    free : ndarray of bool, shape (n, P)
        Entries that may move.
    rows : ndarray of int, shape (n_rows,)
        Rows of A on the boundary of their ball.
    signs : ndarray of shape (n_rows, n)
        The signs of these rows: the normals of the boundary.
    units : ndarray of shape (n, p)
        Columns of B over their norms, zero for zero columns: the normals of the group lasso.
    weights : ndarray of shape (p,)
        Curvature of the group lasso, its multiplier over the norm; zero for zero columns.
    group_binds : bool
        B is on the boundary of the group-lasso constraint.
    """

    free: np.ndarray
    rows: np.ndarray
    signs: np.ndarray
    units: np.ndarray
    weights: np.ndarray
    group_binds: bool


class Terms:
    """Everything but f, for T = (A | B | b) of shape (n, P): balls, group lasso and ridge."""

    def __init__(self, problem: TrainingProblem) -> None:
        self.row_ball, self.group_lasso = problem.row_ball, problem.group_lasso
        self.n, self.last = problem.n_hidden, problem.n_hidden + problem.n_inputs
        self.ridge = np.zeros(self.last + int(problem.fit_intercept))
        self.ridge[: self.last] = problem.ridge_hidden

    def A(self, T: np.ndarray) -> np.ndarray:
        """The columns of T that belong to A; a view."""
        return T[..., : self.n]

    def B(self, T: np.ndarray) -> np.ndarray:
        """The columns of T that belong to B; a view."""
        return T[..., self.n : self.last]

    def value(self, T: np.ndarray) -> float:
        """Ridge and group-lasso penalty."""
        return 0.5 * float(self.ridge @ np.einsum("ij,ij->j", T, T)) + self.group_lasso.value(self.B(T))

    def prox(self, T: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Proximal map of balls and group lasso, with one step a column of T."""
        T = T.copy()
        self.A(T)[:] = self.row_ball.prox(self.A(T), self.A(steps))
        self.B(T)[:] = self.group_lasso.prox(self.B(T), self.B(steps))
        return T

    def face(self, T: np.ndarray, G: np.ndarray) -> tuple[Face, np.ndarray]:
        """The face of T and the objective's gradient in it; G is the gradient of f."""
        A, B = self.A(T), self.B(T)
        norms = column_norms(B)
        kept = norms > 0
        safe = np.where(kept, norms, 1.0)
        units = B / safe
        free = np.ones(T.shape, dtype=bool)
        self.A(free)[:] = A != 0
        self.B(free)[:] = kept
        rows = np.flatnonzero(self.row_ball.binding(A) & A.any(axis=1))
        binds = self.group_lasso.binds(B) and bool(kept.any())
        gradient = G + self.ridge * T
        if self.group_lasso.form == "penalty":
            multiplier = self.group_lasso.kappa
            self.B(gradient)[:] += multiplier * units
        else:  # the force with which the columns press against the constraint
            pressure = -np.einsum("ij,ij->j", self.B(gradient), units)
            multiplier = max(float(pressure[kept].mean()), 0.0) if binds else 0.0
        weights = np.where(kept, multiplier / safe, 0.0)
        return Face(free, rows, np.sign(A[rows]), units, weights, binds), np.where(free, gradient, 0.0)

    def move(self, T: np.ndarray, step: np.ndarray, face: Face) -> np.ndarray:
        """T + step; entries of A and columns of B that turned round are zero, and boundaries stay boundaries."""
        Y = T + step
        A, B = self.A(Y), self.B(Y)
        A[A * self.A(T) <= 0] = 0.0
        B[:, np.einsum("ij,ij->j", B, self.B(T)) <= 0] = 0.0
        A[:] = self.row_ball.repair(A, face.rows)
        B[:] = self.group_lasso.repair(B, face.group_binds)
        return Y


def minimise(
    smooth: Smooth,
    problem: TrainingProblem,
    T: np.ndarray,
    aim: float,
    met: Callable[[np.ndarray], bool],
) -> tuple[np.ndarray, bool]:
    """Minimise f + terms.

    Parameters
    ----------
    smooth : Smooth
    problem : TrainingProblem
        Gives the terms.
    T : ndarray of shape (n, P)
        Feasible start.
    aim : float
        ``met`` is asked once the next step promises to lower the objective by no more than this.
    met : callable
        The certificate: whether a point will do. Where it will not, the aim is lowered a hundredfold.

    Returns
    -------
    T : ndarray of shape (n, P)
    optimal : bool
        Whether ``met`` said so; else nothing more can be gained in floating point.
    """
    terms = Terms(problem)
    here = _at(smooth, terms, T)
    stretch, damping, last_promise = 1.0, 0.0, np.inf
    for _ in range(MAX_ITERATIONS):
        begin = here.objective
        middle, stretch = _proximal_step(smooth, terms, here, stretch)
        here, step, promise = _newton_step(smooth, terms, middle, damping)
        # Levenberg and Marquardt: trust the quadratic model as far as it told the truth.
        decrease = middle.objective - here.objective
        if decrease < 0.1 * promise:
            damping = max((10 if step > 0.1 else 100) * damping, LEAST_DAMPING)
        elif decrease > 0.4 * promise:
            damping = 0.1 * damping if damping > LEAST_DAMPING else 0.0
        # Convergence is quadratic at the end: the next promise is to this one at most as this one to the last.
        next_promise = promise * min(1.0, promise / max(last_promise, TINY)) if step == 1.0 else promise
        last_promise = promise
        stuck = begin - here.objective <= 1e-15 * abs(begin)
        if next_promise <= aim or stuck:
            if met(here.T):
                return here.T, True
            if stuck:
                T = _polish(smooth, terms, here, stretch)
                return T, met(T)
            aim *= 1e-2
    return here.T, met(here.T)


@dataclass(frozen=True)
class _Point:
    """T with f(T), its gradient, and the objective."""

    T: np.ndarray
    value: float
    gradient: np.ndarray
    objective: float


def _at(smooth: Smooth, terms: Terms, T: np.ndarray) -> _Point:
    value, gradient = smooth.value_and_gradient(T)
    return _Point(T, value, gradient, value + terms.value(T))


def _proximal_step(smooth: Smooth, terms: Terms, start: _Point, stretch: float) -> tuple[_Point, float]:
    """One step in the metric stretch * curvature, the stretch doubled until the quadratic bound holds.

    The trace bounds any positive semidefinite matrix, so the doubling ends.
    """
    gradient = start.gradient + terms.ridge * start.T
    while True:
        metric = np.maximum(stretch * smooth.curvature + terms.ridge, TINY)
        trial = _at(smooth, terms, terms.prox(start.T - gradient / metric, 1 / metric))
        change = trial.T - start.T
        bound = np.vdot(start.gradient, change) + 0.5 * stretch * np.vdot(smooth.curvature * change, change)
        if trial.value - start.value <= bound + 1e-14 * abs(start.value) or stretch > trial.T.size:
            return trial, max(0.7 * stretch, 0.1)
        stretch *= 2


def _newton_step(smooth: Smooth, terms: Terms, start: _Point, damping: float) -> tuple[_Point, float, float]:
    """Newton in the face of a point; also the step's length, and the decrease that the quadratic model promised.

    Where entries turned round and the objective rose, the face was too large: Newton goes on from there, in the face
    without them, and only if that ends no lower either the first step is shortened.
    """
    face, gradient = terms.face(start.T, start.gradient)
    direction = newton_direction(smooth, start.T, terms, face, gradient, damping)
    promise = -float(np.vdot(gradient, direction))
    if promise <= 0:  # rounding, or a direction that did not converge
        return start, 0.0, 0.0
    point, way, smaller = start, direction, face
    for _ in range(SHRINKINGS):
        trial = _at(smooth, terms, terms.move(point.T, way, smaller))
        if trial.objective <= start.objective - ARMIJO * promise:
            return trial, 1.0, promise
        if np.array_equal(trial.T != 0, smaller.free):
            break
        point = trial
        smaller, gradient = terms.face(point.T, point.gradient)
        way = newton_direction(smooth, point.T, terms, smaller, gradient, damping)
    step = 0.5
    for _ in range(HALVINGS):
        trial = _at(smooth, terms, terms.move(start.T, step * direction, face))
        if trial.objective <= start.objective - ARMIJO * step * promise:
            return trial, step, promise
        step /= 2
    return start, 0.0, promise


def _polish(smooth: Smooth, terms: Terms, point: _Point, stretch: float) -> np.ndarray:
    """Newton steps by what they do to the gradient, where the objective has no digits left to tell them apart.

    Gradients vanish like the square root of the objective's error, and the duality gap needs them.
    """
    metric = np.maximum(stretch * smooth.curvature + terms.ridge, TINY)

    def residual(at: _Point) -> float:
        gradient = at.gradient + terms.ridge * at.T
        change = terms.prox(at.T - gradient / metric, 1 / metric) - at.T
        return float(np.vdot(metric * change, change))

    size, damping = residual(point), 0.0
    for _ in range(POLISHINGS):
        face, gradient = terms.face(point.T, point.gradient)
        direction = newton_direction(smooth, point.T, terms, face, gradient, damping)
        trial = _at(smooth, terms, terms.move(point.T, direction, face))
        trial_size = residual(trial)
        if trial_size < 0.5 * size:
            point, size = trial, trial_size
        else:
            damping = max(10 * damping, LEAST_DAMPING)
    return point.T


def newton_direction(
    smooth: Smooth, T: np.ndarray, terms: Terms, face: Face, gradient: np.ndarray, damping: float
) -> np.ndarray:
    """Minimise the quadratic model of the objective, with damping * curvature added, over the face: shape (n, P).

    By conjugate gradients, to a tenth of the gradient: more would be wasted while the face still changes, and at
    the end the steps add up. By a factorisation, if it fits into memory, where that costs only a few such steps or
    where as many steps as it costs were not enough.
    """
    if not face.free.any():
        return np.zeros_like(gradient)
    hessian = smooth.hessian(T)
    diagonal = np.broadcast_to(terms.ridge + damping * smooth.curvature, gradient.shape).copy()
    terms.B(diagonal)[:] += face.weights
    n_sides = 1 + np.count_nonzero(face.weights) + len(face.rows) + int(face.group_binds)
    steps = MOST_CG_STEPS
    if factorises := hessian.storage(face.free) + n_sides * gradient.size <= LARGEST_SYSTEM:
        factorisation, product = hessian.cost(face.free)
        steps = min(int(factorisation / (product + STEP_OVERHEAD)), MOST_CG_STEPS)
    if steps >= LEAST_CG_STEPS:
        direction, done = _by_conjugate_gradients(hessian, terms, face, diagonal, gradient, steps)
        if done or not factorises:
            return direction
    return _by_factorisation(hessian, terms, face, diagonal, gradient)


def _by_factorisation(
    hessian: Hessian, terms: Terms, face: Face, diagonal: np.ndarray, gradient: np.ndarray
) -> np.ndarray:
    """Exactly. With the group lasso's curvature weights_j (I - u_j u_j') = diagonal - V'V, one row of V a column,

    (H + diagonal - V'V) d + E'y = -gradient,  E d = 0,  the rows of E being the normals of boundaries,

    and H + diagonal is what the block can factorise.
    """
    columns, n_rows = np.flatnonzero(face.weights), len(face.rows)
    n_columns = len(columns)
    sides = np.zeros((1 + n_columns + n_rows + int(face.group_binds), *gradient.shape))
    sides[0] = gradient
    V, E = sides[1 : 1 + n_columns], sides[1 + n_columns :]
    V[np.arange(n_columns), :, terms.n + columns] = (np.sqrt(face.weights[columns]) * face.units[:, columns]).T
    terms.A(E)[np.arange(n_rows), face.rows] = -face.signs
    if face.group_binds:
        terms.B(E)[-1] = -face.units
    solved = hessian.solve(face.free, diagonal, sides).reshape(len(sides), -1)
    border = sides[1:].reshape(len(sides) - 1, gradient.size)
    small = border @ solved[1:].T
    small[np.arange(n_columns), np.arange(n_columns)] -= 1
    multipliers = np.linalg.lstsq(small, border @ solved[0], rcond=None)[0]
    return (multipliers @ solved[1:] - solved[0]).reshape(gradient.shape)


def _by_conjugate_gradients(
    hessian: Hessian, terms: Terms, face: Face, diagonal: np.ndarray, gradient: np.ndarray, steps: int
) -> tuple[np.ndarray, bool]:
    """Inexactly and without a matrix, by steps that never leave the face; and whether that met the tolerance.

    Preconditioned by rows kron diag(columns) + diagonal: exactly on the columns of B and b, which are free as a
    whole, and by its diagonal on A, of which only some entries are.
    """
    free = face.free.astype(float)
    values, vectors = np.linalg.eigh(hessian.rows)
    values = np.maximum(values, FLOOR * values[-1])
    B_scaling = _inverse(values[:, None] * hessian.columns[terms.n :] + diagonal[:1, terms.n :])
    on_diagonal = np.maximum(np.diag(hessian.rows), values[0])
    A_scaling = _inverse(on_diagonal[:, None] * terms.A(hessian.columns) + terms.A(diagonal)) * terms.A(free)

    def scaled(R: np.ndarray) -> np.ndarray:
        Z = np.empty_like(R)
        np.multiply(A_scaling, R[:, : terms.n], out=Z[:, : terms.n])
        np.multiply(vectors @ (B_scaling * (vectors.T @ R[:, terms.n :])), free[:, terms.n :], out=Z[:, terms.n :])
        return Z

    lengths = np.maximum(np.einsum("ij,ij->i", A_scaling[face.rows], np.abs(face.signs)), TINY)[:, None]
    normals = A_scaling[face.rows] * face.signs / lengths
    group_normal = np.zeros_like(gradient)
    if face.group_binds:
        terms.B(group_normal)[:] = face.units
    group_across = scaled(group_normal)
    group_across /= max(float(np.vdot(group_across, group_normal)), TINY)

    def precondition(R: np.ndarray) -> np.ndarray:
        """The preconditioned residual within the face; from R itself, what the boundaries bear is taken in place.

        Else it stays in R while the rest shrinks, and its rounding pushes the search off the face.
        """
        if len(face.rows):
            bearing = np.einsum("ij,ij->i", normals, R[face.rows, : terms.n])
            R[face.rows, : terms.n] -= bearing[:, None] * face.signs
        if face.group_binds:
            R -= float(np.vdot(group_across, R)) * group_normal
        return scaled(R)

    def product(V: np.ndarray) -> np.ndarray:
        image = hessian.product(V)
        image += diagonal * V
        if face.weights.any():
            along = face.weights * np.einsum("ij,ij->j", terms.B(V), face.units)
            image[:, terms.n : terms.last] -= along * face.units
        image *= free
        return image

    solution, residual = np.zeros_like(gradient), -free * gradient
    Z = precondition(residual)
    search, size = Z, float(np.vdot(residual, Z))
    first = size
    for _ in range(steps):
        if size <= CG_TOL**2 * first:
            return solution, True
        image = product(search)
        bend = float(np.vdot(search, image))
        if bend <= 0:  # rounding: nothing left in this direction
            break
        solution += (size / bend) * search
        residual -= (size / bend) * image
        Z = precondition(residual)
        last, size = size, float(np.vdot(residual, Z))
        search = Z + (size / last) * search
    return solution, False


def _inverse(x: np.ndarray) -> np.ndarray:
    """1/x, and 0 where x is 0: what has no curvature does not move."""
    return np.divide(1.0, x, out=np.zeros_like(x), where=x > 0)
