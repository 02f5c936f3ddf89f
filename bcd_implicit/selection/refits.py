"""Refits without group lasso, and their cross-validation.

A refit is on some of the inputs, and may have another ridge and more hidden features than the path's problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bcd_implicit.problem import statistics
from bcd_implicit.problem.iterate import Iterate, in_spreads
from bcd_implicit.problem.training_problem import TrainingProblem
from bcd_implicit.selection.sample_groups import split
from bcd_implicit.support.interruption import check_stop, finishing
from bcd_implicit.support.parallel import in_parallel
from bcd_implicit.support.progress import Progress, silent
from bcd_implicit.training.bcd import solve
from bcd_implicit.training.result import BcdResult

# Once a cycle lowers the objective by less than this share of the best constant's loss, times the tolerance, a refit
# has settled: where the loss comes near zero, a relative change of it says little.
NEGLIGIBLE = 0.05
# A start whose B is this much smaller than a fresh one's is no start.
FADED = 1e-3


@dataclass(frozen=True, eq=False)
class Refit:
    """What to fit: the inputs (mask), the number of hidden features, the ridge on (A, B), and, if given, on (C, D)."""

    support: np.ndarray
    n_hidden: int
    ridge_hidden: float
    ridge: float | None = None

    def problem(self, problem: TrainingProblem) -> TrainingProblem:
        """The training problem of the refit: no groups, and D in the output block unless a user's constraint acts."""
        problem = problem.replace(
            # Of the penalty: a radius of 0 would make B zero.
            group_form="penalty",
            kappa=0.0,
            groups=None,
            group_over=problem.group_over if problem.constraints else "B",
            n_hidden=self.n_hidden,
            # One weight for all: there may be more hidden features than the path's problem has.
            fenchel_weight=float(problem.fenchel_weights.mean()),
            ridge_hidden=self.ridge_hidden,
            ridge=problem.ridge if self.ridge is None else self.ridge,
        )
        return problem.subset(inputs=self.support)


def without_group_lasso(problem: TrainingProblem) -> TrainingProblem:
    """The problem with kappa = 0."""
    return problem.replace(group_form="penalty", kappa=0.0)


def extend(it: Iterate, support: np.ndarray) -> Iterate:
    """The iterate on all inputs, from one on some of them (mask), with zeros."""
    return it.replace(B=with_zeros(it.B, support), D=with_zeros(it.D, support))


def with_zeros(columns: np.ndarray, support: np.ndarray) -> np.ndarray:
    """The columns at their places among those of all inputs; the others are zero."""
    matrix = np.zeros((len(columns), len(support)))
    matrix[:, support] = columns
    return matrix


def run_refit(
    problem: TrainingProblem, what: Refit, start: Iterate, random_state: int | None, options: dict[str, Any]
) -> BcdResult | None:
    """Solve it, from an iterate on all inputs; None for an empty support.

    The start may be of other samples. Hidden features that it does not have begin with random rows of B and do not
    reach the output; where it has more than asked for, the first are taken. A start that knows none of the inputs, or
    hardly, is of no use: a random one takes its place.
    """
    if not what.support.any():
        return None
    smaller = what.problem(problem)
    it = start.replace(B=start.B[:, what.support], D=start.D[:, what.support])
    n, fresh = len(start.A), smaller.initial(random_state)
    if has_faded(smaller, it, fresh):
        it = fresh
    elif n != what.n_hidden:
        # Zeros for the new features in A and C: the larger model starts where the smaller one ended.
        A, C, kept = fresh.A.copy(), fresh.C.copy(), slice(min(n, what.n_hidden))
        A[kept, kept], C[:, kept] = it.A[kept, kept], it.C[:, kept]
        B, b = np.vstack([it.B[kept], fresh.B[n:]]), np.concatenate([it.b[kept], fresh.b[n:]])
        it = it.replace(A=A, B=B, b=b, C=C)
    # Of other samples, or fewer features: X can only be where the states' solver starts.
    if it.X.shape != fresh.X.shape:
        with finishing():  # a refit that has to end at once still needs a start
            it = smaller.at_equilibrium(it.replace(X=fresh.X))
    atol = options["tol"] * NEGLIGIBLE * smaller.loss.loss_of_constant(smaller.Y, smaller.shares)
    return solve(smaller, start=it, random_state=random_state, atol=atol, **options)


def has_faded(problem: TrainingProblem, it: Iterate, fresh: Iterate) -> bool:
    """Whether the inputs hardly reach the state any more, next to a fresh start's.

    A large ridge does that. If B and C are next to zero the objective is flat, and no fit comes back from there.
    """
    size, usual = (
        np.linalg.norm(in_spreads(point, problem.U, problem.Y, problem.shares)["B"]) for point in (it, fresh)
    )
    return bool(size <= FADED * usual)


def best_constant(problem: TrainingProblem) -> np.ndarray:
    """The prediction of the empty model, shape (q,): the constant of least loss, and 0 without an intercept."""
    if not problem.fit_intercept:
        return np.zeros(problem.n_outputs)
    return problem.loss.best_constant(problem.Y, problem.shares)


def constant_model(result: BcdResult) -> BcdResult:
    """A result whose model predicts :func:`best_constant`: the refit on no input."""
    problem = result.problem
    it = Iterate.zeros(problem.shapes).replace(d=best_constant(problem))
    # X as well has to be that of the new matrices.
    with finishing():
        return replace(result, iterate=problem.at_equilibrium(it))


def sample_errors(problem: TrainingProblem, prediction: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """The loss of each sample, a column, in shares of what the best constant loses on the problem's samples.

    For the squared loss the mean over the outputs of the shares of each.
    """
    if not problem.loss.quadratic:
        loss, constant = problem.loss.value(prediction, Y), problem.loss.loss_of_constant(problem.Y, problem.shares)
        return loss / constant if constant > 0 else np.zeros_like(loss)
    variance = statistics.variance(problem.Y, problem.shares)
    # An output that does not vary has no scale, and counts for nothing.
    scales = np.divide(1.0, variance, out=np.zeros_like(variance), where=variance > 0) / problem.n_outputs
    return np.asarray(scales @ (prediction - Y) ** 2)


@dataclass(frozen=True, eq=False)
class Fold:
    """Some samples to train on and others to judge by, of a problem on all inputs and samples."""

    problem: TrainingProblem
    train: np.ndarray
    test: np.ndarray

    def run(
        self, chain: Sequence[Refit], random_state: int | None, options: dict[str, Any], start: Iterate | None = None
    ) -> tuple[np.ndarray, Iterate]:
        """:func:`sample_errors` of the test samples under every refit, (n_refits, n_test), and the last iterate.

        The models are trained one after the other along the chain, each from the one before and the first, unless there
        is a start, from a random one, so that no parameter has seen the samples that it is judged on.
        """
        problem, test = self.problem, self.test
        errors = np.zeros((len(chain), len(test)))
        training = problem.subset(self.train)
        # Not from the path: its iterates have seen the samples to be judged on.
        it = training.replace(n_hidden=chain[0].n_hidden).initial(random_state) if start is None else start
        for i, what in enumerate(chain):
            check_stop()
            result = run_refit(training, what, it, random_state, options)
            if result is not None:
                it = extend(result.iterate, what.support)
                fitted = result.problem.model_of_columns(result.iterate)
                prediction = fitted.outputs(problem.U[what.support][:, test].T).T
            else:
                prediction = np.broadcast_to(best_constant(training)[:, None], (problem.n_outputs, len(test)))
            errors[i] = sample_errors(problem, prediction, problem.Y[:, test])
        return errors, it


def _classes(problem: TrainingProblem) -> np.ndarray | None:
    """The most probable class of each sample, where targets are of classes of which a sample has one."""
    if problem.loss.link == "softmax":
        return problem.Y.argmax(axis=0)
    return problem.Y[0] > 0.5 if problem.loss.link == "logit" and problem.n_outputs == 1 else None


def folds(
    problem: TrainingProblem, n_folds: int, random_state: int | None, sample_groups: np.ndarray | None = None
) -> list[Fold]:
    """The folds of a cross-validation, shuffled; none splits a group of samples, and each has all classes if it can."""
    parts = split(problem.n_samples, n_folds, random_state, sample_groups, _classes(problem))
    return [Fold(problem, train, test) for train, test in parts]


def run_folds(
    parts: Sequence[Fold],
    chain: Sequence[Refit],
    random_state: int | None,
    options: dict[str, Any],
    n_jobs: int | None = None,
    on_progress: Progress = silent,
    starts: Sequence[Iterate | None] | None = None,
) -> tuple[np.ndarray, list[Iterate]]:
    """:meth:`Fold.run` in every fold, from these starts: errors, (n_refits, m), and the last iterates."""
    errors, last = np.zeros((len(chain), parts[0].problem.n_samples)), list[Iterate]()
    starts = starts or [None] * len(parts)
    jobs = [(fold, chain, random_state, options, start) for fold, start in zip(parts, starts, strict=True)]
    for fold, (part, it) in zip(parts, in_parallel(Fold.run, jobs, n_jobs, on_progress), strict=True):
        errors[:, fold.test] = part
        last.append(it)
    return errors, last


def cross_validate(
    problem: TrainingProblem,
    chain: Sequence[Refit],
    n_folds: int,
    random_state: int | None,
    options: dict[str, Any],
    n_jobs: int | None = None,
    on_progress: Progress = silent,
    sample_groups: np.ndarray | None = None,
) -> np.ndarray:
    """Error of every sample under every refit, by :meth:`Fold.run` in every fold: shape (n_refits, m)."""
    parts = folds(problem, n_folds, random_state, sample_groups)
    return run_folds(parts, chain, random_state, options, n_jobs, on_progress)[0]
