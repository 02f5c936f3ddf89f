"""Random problems of several sizes and kinds, iterates on which every block has something to do, and wrong points."""

from __future__ import annotations

import warnings
from contextlib import suppress

import numpy as np

from bcd_implicit import BlockSolution, BlockSolveError, ConvergenceWarning, Iterate, TrainingProblem, solve_block
from bcd_implicit.blocks import make_block
from bcd_implicit.blocks.solve import solve_prepared
from bcd_implicit.support.threads import one_blas_thread


def random_problem(size: tuple[int, int, int, int], seed: int = 0, **options) -> TrainingProblem:
    """With ``groups="pairs"`` neighbouring inputs are grouped."""
    n, p, q, m = size
    if options.get("groups") == "pairs":
        options["groups"] = [f"pair {j // 2}" for j in range(p)]
    rng = np.random.default_rng([seed, *size])
    U = rng.standard_normal((m, p))
    W, C = rng.standard_normal((p, 5)) / np.sqrt(p), rng.standard_normal((5, q))
    Y = np.maximum(U @ W, 0) @ C + 0.3 * rng.standard_normal((m, q))
    return TrainingProblem(U, Y, n, **options)


def in_both_sets(seeds: range) -> list[tuple[int, str]]:
    """Each seed with A's rows in the ball, and every fifth with them in the set of the matrix measure."""
    return [(seed, "inf-norm") for seed in seeds] + [(seed, "measure") for seed in seeds[::5]]


def table_of(loss: str, size: tuple[int, int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """U and Y as random_problem's, the targets made such as the loss takes."""
    problem = random_problem(size, seed)
    Y = problem.Y.T
    match loss:
        case "logistic":
            Y = (Y > 0).astype(float)
        case "cross-entropy":
            Y = np.eye(size[2])[Y.argmax(axis=1)]
        case "poisson":
            Y = np.random.default_rng(seed).poisson(np.exp(np.clip(Y, -3, 2))).astype(float)
    return problem.U.T, Y


def random_iterate(problem: TrainingProblem, seed: int = 0, relaxed: bool = True) -> Iterate:
    """Random feasible matrices; states at equilibrium, and with ``relaxed`` moved away from it within the domain."""
    rng = np.random.default_rng([seed, 1])
    shapes = problem.shapes
    it = problem.initial(seed)
    A = problem.row_set.project(0.5 * rng.standard_normal(shapes["A"]))
    it = it.replace(
        A=np.where(problem.pattern.entries("A", A.shape), A, 0.0),
        C=rng.standard_normal(shapes["C"]),
        D=0.3 * rng.standard_normal(shapes["D"]) * problem.pass_through,
        d=rng.standard_normal(shapes["d"]) * problem.fit_intercept,
    )
    it = problem.at_equilibrium(problem.with_grouped(it, problem.group_lasso.repair(problem.grouped(it))))
    if relaxed:
        noise = 0.3 * rng.standard_normal(shapes["X"])
        it = it.replace(X=np.clip(it.X + noise, *problem.activation.domain))
    return it


#: With a penalty of A some of its entries are zero at the optimum, and others are not.
FOR_SPARSE_A = {"kappa": 0.02, "norm_bound": 0.9, "ridge": 0.1, "ridge_hidden": 0.02, "pass_through": False}

OPTIONS = {
    "penalty": {"kappa": 0.1},
    "constraint": {"kappa": 0.5, "group_form": "constraint"},
    "plain": {"kappa": 0.2, "fit_intercept": False, "pass_through": False, "ridge_hidden": 0.0},
    "leaky": {"kappa": 0.05, "activation": "leaky_relu", "ridge_hidden": 0.1, "fenchel_weight": 3.0},
    "clip": {"kappa": 0.05, "activation": "clip"},
    "pairs": {"kappa": 0.1, "groups": "pairs"},
    "pairs, constraint": {"kappa": 0.5, "group_form": "constraint", "groups": "pairs", "ridge_hidden": 0.0},
    "largest": {"kappa": 0.1, "group_norm": "inf"},
    "largest, pairs, constraint": {"kappa": 0.3, "group_norm": "inf", "group_form": "constraint", "groups": "pairs"},
    "stacked": {"kappa": 0.1, "group_over": "BD"},
    "stacked, constraint": {"kappa": 0.5, "group_over": "BD", "group_form": "constraint", "ridge_hidden": 0.0},
    "stacked, largest, pairs": {"kappa": 0.1, "group_over": "BD", "group_norm": "inf", "groups": "pairs"},
}

# The relative gap asked for.
TOL = 1e-6


def at(problem, block, seed=0):
    return random_iterate(problem, seed, relaxed=block != "prox-linear")


def by_clarabel(problem, it, block, tol=TOL, **options):
    """CLARABEL's solution, however inaccurate, SCS's where it fails; None where both do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for solver in ("CLARABEL", "SCS"):
            try:
                return solve_block(problem, it, block, solver, tol=tol, **options)
            except BlockSolveError:
                pass
    return None


# What has been solved by CVXPY in this process: posing, compiling and solving takes four times as long as natively.
_SOLVED: dict[tuple[str, tuple[int, int, int, int], str], BlockSolution | None] = {}


def pose_and_solve(problem, it, block):
    """A block, its CVXPY problem, and the solution of that as by_clarabel finds it, posed only once."""
    prepared = make_block(problem, it, block)
    posed = prepared.cvxpy_problem()
    prepared.cvxpy_problem = lambda: posed
    for solver in ("CLARABEL", "SCS"):
        with one_blas_thread(), warnings.catch_warnings(), suppress(BlockSolveError):
            warnings.simplefilter("ignore", ConvergenceWarning)
            return prepared, posed, solve_prepared(prepared, solver, TOL)
    return prepared, posed, None


def pose_and_solve_case(name, size, block):
    """The same for a block of ``random_problem(size, **OPTIONS[name])``, whose solution is kept."""
    problem = random_problem(size, **OPTIONS[name])
    prepared, posed, _SOLVED[name, size, block] = pose_and_solve(problem, at(problem, block), block)
    return prepared, posed


def conic_solution(name, size, block):
    """That solution, from an earlier test where there was one."""
    if (name, size, block) not in _SOLVED:
        pose_and_solve_case(name, size, block)
    return _SOLVED[name, size, block]


def check_native(problem, it, block, reference=None, **options):
    """Solve natively (a warning fails the test), and return the solution and CLARABEL's once they agree."""
    native = solve_block(problem, it, block, "native", tol=TOL, **options)
    assert native.solver == "native"
    assert native.certificate.violation <= 1e-8
    assert problem.violation(native.iterate) <= 1e-8
    if reference is None:
        reference = by_clarabel(problem, it, block, **options)
    if native.certificate.known:
        assert native.certificate.holds(TOL)
    else:
        # Without a gap only the comparison says anything.
        assert reference is not None
        assert native.objective <= reference.objective + TOL * abs(reference.objective)
    if reference is not None:
        assert native.objective <= reference.objective + TOL * native.certificate.scale
        # The certificate must be true: nobody finds a point that is better by more than the gap.
        rounding = 1e-9 * max(native.certificate.scale, abs(native.objective))
        assert native.objective - reference.objective <= native.certificate.gap + rounding
    return native, reference


def wrong_point(problem, block, it, size):
    """A feasible point near ``it``, moved by about ``size`` in the block's variables."""
    rng = np.random.default_rng(3)
    moved = {k: getattr(it, k) + size * rng.standard_normal(problem.shapes[k]) for k in block.letters}
    fixed = {"D": problem.pass_through, "b": problem.fit_intercept, "d": problem.fit_intercept}
    moved = {k: v if fixed.get(k, True) else getattr(it, k) for k, v in moved.items()}
    if "A" in moved:
        moved["A"] = problem.row_set.project(moved["A"])
    if "X" in moved:
        moved["X"] = np.clip(moved["X"], *problem.activation.domain)
    moved = it.replace(**moved)
    return problem.with_grouped(moved, problem.group_lasso.repair(problem.grouped(moved)))
