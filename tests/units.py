"""The same block in other units: targets, inputs or both times a power of ten, and the penalties scaled along.

Of a block's variables those that have the scaled units are scaled with them, so that the solution is known from the
unscaled one's. With a ridge that is one number for all columns no such scaling of an input exists, nor one of targets
where the groups are columns of (B; D): these problems have none there.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from problems import OPTIONS, at, random_problem

from bcd_implicit import BlockSolution, Iterate, TrainingProblem, solve_block

POWERS = (-12, -9, -6, -4, -2, -1, 1, 2, 4, 6, 9, 12)
PROBLEM_SIZES = ((3, 4, 2, 30), (5, 8, 20, 40), (4, 10, 1, 100), (3, 30, 2, 12))
TOL = 1e-6
# A start whose states are so large, and C as small, is another problem, which is to be certified as well.
FAR_STATES = 1e5
# Shorter times, in seconds, count as this: less is noise of the clock.
NOISE = 2e-3
# Larger ratios of times are doubted: both are measured so often again, in turn.
DOUBTFUL, AGAIN = 1.5, 30


def rescaled(problem: TrainingProblem, U: np.ndarray, Y: np.ndarray, **settings) -> TrainingProblem:
    """The problem on other data, samples as columns."""
    kept = ("n_hidden", "activation", "norm_bound", "kappa", "group_form", "fenchel_weight", "ridge", "ridge_hidden")
    kept += ("fit_intercept", "pass_through", "groups", "group_weights", "group_norm", "group_over")
    return TrainingProblem(U.T, Y.T, **{name: getattr(problem, name) for name in kept} | settings)


def scale_targets(problem: TrainingProblem, block: str, s: float) -> tuple[TrainingProblem, dict[str, float]]:
    """Y times s, and by which factors the variables change."""
    if not problem.stacked:
        # C, D and d answer alone, and all else of the objective grows like the loss.
        along = {"ridge_hidden": problem.ridge_hidden * s**2, "fenchel_weight": problem.fenchel_weight * s**2}
        if problem.group_form == "penalty":
            along["kappa"] = problem.kappa * s**2
        return rescaled(problem, problem.U, problem.Y * s, **along), {"C": s, "D": s, "d": s}
    # B and D are of one group: the states answer, for an activation that is the same in all units.
    along = {"kappa": problem.kappa * s}
    return rescaled(problem, problem.U, problem.Y * s, **along), dict.fromkeys(("B", "b", "X", "D", "d"), s)


def scale_input(problem: TrainingProblem, block: str, s: float) -> tuple[TrainingProblem, dict]:
    """The inputs of the first group times s, and by which factors the columns of B and D change."""
    groups = problem.group_lasso.groups
    factors, weights = np.ones(problem.n_inputs), problem.group_weights.copy()
    factors[groups.members[0]] = s
    weights[0] *= s
    by_name = dict(zip(groups.names, weights, strict=True))
    scaled = rescaled(problem, problem.U * factors[:, None], problem.Y, group_weights=by_name)
    return scaled, {"B": 1 / factors, "D": 1 / factors}


def applied(it: Iterate, factors) -> Iterate:
    """The iterate in the other units."""
    return it.replace(**{letter: getattr(it, letter) * factor for letter, factor in factors.items()})


@dataclass
class Outcome:
    """One block in other units, beside the same in the first.

    Attributes
    ----------
    difference : float or None
        The largest of the variables, each relative to its largest entry; None where the scaled problem is another one,
        or has several solutions.
    work : float or None
        The number of functions called, as a ratio to that in the first units: no other job on the machine changes it.
        None where the scaled problem is another one.
    slowdown : float or None
        The same of processor times; None where these were not measured as well.
    """

    problem: str
    block: str
    scaling: str
    gap: float
    warned: bool
    difference: float | None = None
    work: float | None = None
    slowdown: float | None = None

    @property
    def missed(self) -> bool:
        """Whether the block is not certified, or somebody was warned."""
        return self.warned or not self.gap <= TOL


@dataclass
class _Solve:
    """A block of a problem, solved natively.

    ``seconds`` is the time of the least disturbed of those measured, ``calls`` the number of functions called.
    """

    problem: TrainingProblem
    it: Iterate
    block: str
    solution: BlockSolution = field(init=False)
    warned: bool = field(init=False)
    calls: int = 0
    seconds: float = np.inf

    def __post_init__(self) -> None:
        def count(frame, event, argument) -> None:
            self.calls += event in ("call", "c_call")

        before = sys.getprofile()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            sys.setprofile(count)
            try:
                self.solution = self._solve()
            finally:
                sys.setprofile(before)
        self.warned = bool(caught)

    def _solve(self) -> BlockSolution:
        return solve_block(self.problem, self.it, self.block, "native", tol=TOL)

    def measure(self) -> None:
        """The time of one more solve."""
        start = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._solve()
        self.seconds = min(self.seconds, time.process_time() - start)


def outcomes(
    block: str, names=tuple(OPTIONS), sizes=PROBLEM_SIZES, powers=POWERS, repeats: int = 0
) -> Iterator[Outcome]:
    """One block of many problems, each in 25 other units; times are measured so often, or not at all."""
    for name in names:
        for size in sizes:
            options = dict(OPTIONS[name])
            stacked = options.get("group_over") == "BD"
            by_target = random_problem(
                size, **options | (dict.fromkeys(("ridge", "ridge_hidden"), 0.0) if stacked else {})
            )
            by_input = random_problem(size, **options | {"ridge_hidden": 0.0, "ridge": 0.0})
            # More inputs than samples and no ridge: many solutions.
            unique = size[1] < size[3]
            label = f"{name}, n{size[0]}-p{size[1]}-q{size[2]}-m{size[3]}"
            for problem, scale, what in ((by_target, scale_targets, "targets"), (by_input, scale_input, "inputs")):
                yield from _in_other_units(problem, block, scale, powers, unique, label, what, repeats)
            yield _far_states(random_problem(size, **options), block, label)


def _far_states(problem: TrainingProblem, block: str, label: str) -> Outcome:
    far = applied(at(problem, block), {"B": FAR_STATES, "b": FAR_STATES, "C": 1 / FAR_STATES})
    far = problem.at_equilibrium(problem.with_grouped(far, problem.group_lasso.repair(problem.grouped(far))))
    solve = _Solve(problem, far, block)
    what = f"states * {FAR_STATES:.0e}"
    return Outcome(label, block, what, solve.solution.certificate.relative_gap, solve.warned)


def _in_other_units(
    problem: TrainingProblem,
    block: str,
    scale: Callable,
    powers: tuple[int, ...],
    unique: bool,
    label: str,
    what: str,
    repeats: int,
) -> Iterator[Outcome]:
    it = at(problem, block)
    # The very first may load what others find loaded; the one to compare with remembers nothing, as the others do not.
    _Solve(problem, it, block)
    first = _Solve(rescaled(problem, problem.U, problem.Y), it, block)
    scaled = [scale(problem, block, 10.0**power) for power in powers]
    others = [_Solve(other, applied(it, factors), block) for other, factors in scaled]
    # In turn, so that a busy minute of the machine falls on all of them.
    for _ in range(repeats):
        for solve in (first, *others):
            solve.measure()
    for power, other, (_, factors) in zip(powers, others, scaled, strict=True):
        yield Outcome(
            problem=label,
            block=block,
            scaling=f"{what} * 1e{power:+03d}",
            gap=other.solution.certificate.relative_gap,
            warned=other.warned,
            difference=_difference(applied(first.solution.iterate, factors), other, factors) if unique else None,
            work=other.calls / first.calls,
            slowdown=_slowdown(first, other) if repeats else None,
        )


def _slowdown(first: _Solve, other: _Solve) -> float:
    """The ratio of times, measured again while it is doubtful: noise goes, a real factor stays."""
    for _ in range(AGAIN):
        if max(other.seconds, NOISE) <= DOUBTFUL * max(first.seconds, NOISE):
            break
        first.measure()
        other.measure()
    return max(other.seconds, NOISE) / max(first.seconds, NOISE)


def _difference(expected: Iterate, other: _Solve, factors: dict[str, float]) -> float:
    difference = 0.0
    for letter in "ABbCDdX":
        a, b = getattr(expected, letter), getattr(other.solution.iterate, letter)
        size = np.abs(a) / np.abs(factors.get(letter, 1.0))
        off = np.abs(a - b) / np.abs(factors.get(letter, 1.0))
        difference = max(difference, float(off.max() / max(size.max(), 1e-300)) if off.any() else 0.0)
    return difference
