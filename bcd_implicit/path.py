"""The kappa path, from small to large with warm starts, and the choice of a support from it.

The direction matters: from a cold start a large kappa collapses to B = 0, X = 0, which is stationary. Going up,
each problem starts from a model that fits.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from bcd_implicit.bcd import METHODS, solve
from bcd_implicit.data import check_number, random_generator
from bcd_implicit.errors import ConvergenceWarning, InvalidInputError, check_choice
from bcd_implicit.model import ImplicitModel
from bcd_implicit.penalties import column_norms
from bcd_implicit.problem import Iterate, TrainingProblem
from bcd_implicit.result import BcdResult
from bcd_implicit.solvers import AUTO

RULES = ("one-se", "min")

# Called with the share of the work done (0 to 1) and a word about what goes on.
Progress = Callable[[float, str], None]


def _silent(share: float, text: str) -> None:
    pass


@dataclass(frozen=True)
class Selection:
    """The support chosen from a path.

    Attributes
    ----------
    support : ndarray of bool, shape (p,)
        The inputs kept.
    kappa : float
        The smallest kappa of the path that has this support.
    index : int
        Its place on the path.
    result : BcdResult
        The refit on the support alone, without group lasso, on all samples; for an empty support the path's own.
    table : DataFrame
        A row a candidate: kappa, n_selected, cross-validated error with its standard error, chosen, inputs.
    rule : str
    input_names : list of str
    """

    support: np.ndarray
    kappa: float
    index: int
    result: BcdResult
    table: pd.DataFrame
    rule: str
    input_names: list[str]

    @property
    def names(self) -> list[str]:
        """Names of the inputs kept."""
        return [name for name, kept in zip(self.input_names, self.support, strict=True) if kept]

    @property
    def model(self) -> ImplicitModel:
        """The refitted model. It takes all p inputs; the columns of B and D outside the support are zero."""
        it = self.result.iterate
        if it.B.shape[1] < len(self.support):
            it = _extend(it, self.support)
        return ImplicitModel(
            it.A,
            it.B,
            it.b,
            it.C,
            it.D,
            it.d,
            self.result.problem.activation,
            input_names=self.input_names,
            output_names=self.result.problem.output_names,
        )

    def __repr__(self) -> str:
        size = f"{int(self.support.sum())} of {len(self.support)}"
        return f"Selection(kappa={self.kappa:.4g}, selected {size}: {self.names})"


@dataclass(frozen=True)
class PathResult:
    """Models along increasing kappa.

    Attributes
    ----------
    problem : TrainingProblem
    results : tuple of BcdResult
        One for each kappa, warm-started from the one before.
    solve_options : dict
        What every solve of the path was called with; ``select`` refits with the same.
    """

    problem: TrainingProblem
    results: tuple[BcdResult, ...]
    solve_options: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        sizes = self.supports.sum(axis=1)
        return (
            f"PathResult(n_kappas={len(self.results)}, kappa {self.kappas[0]:.3g} to {self.kappas[-1]:.3g}, "
            f"{sizes[0]} to {sizes[-1]} of {self.problem.n_inputs} inputs)"
        )

    @property
    def kappas(self) -> np.ndarray:
        """Shape (n_kappas,), increasing (decreasing radii in constraint form)."""
        return np.array([r.problem.kappa for r in self.results])

    @property
    def column_norms(self) -> np.ndarray:
        """||B e_j||_2 along the path, shape (n_kappas, p)."""
        return np.array([column_norms(r.iterate.B) for r in self.results])

    @property
    def supports(self) -> np.ndarray:
        """Nonzero columns of B along the path, bool, shape (n_kappas, p)."""
        return np.array([r.iterate.B.any(axis=0) for r in self.results])

    @property
    def table(self) -> pd.DataFrame:
        """A row a kappa: kappa, n_selected, objective, mean loss, cycles, status."""
        return pd.DataFrame(
            {
                "kappa": self.kappas,
                "n_selected": self.supports.sum(axis=1),
                "objective": [r.objective for r in self.results],
                "loss": [r.problem.mean_loss(r.iterate) for r in self.results],
                "n_cycles": [r.n_cycles for r in self.results],
                "status": [r.status.name for r in self.results],
            }
        )

    def select(
        self,
        rule: str = "one-se",
        *,
        n_folds: int = 3,
        random_state: int | None = 0,
        method: str = "prox-linear",
        max_cycles: int = 100,
        tol: float = 1e-2,
        on_progress: Progress = _silent,
    ) -> Selection:
        """Choose a support without knowing the truth.

        Every distinct support of the path is refitted without group lasso in cross-validation: in each fold
        the models are trained afresh on the other folds, from the largest support down with warm starts, so
        no parameter has seen the samples that it is judged on. (The candidate supports have: they come from
        the path on all samples.)

        Parameters
        ----------
        rule : {"one-se", "min"}
            "one-se" takes the sparsest support whose error is within one standard error of the smallest,
            "min" the support with the smallest error.
        n_folds : int
        random_state : int or None
            Shuffles the folds and starts the fits.
        method : str
            The loop of the refits. The prox-linear loop by default, whatever walked the path: it fits better.
        max_cycles, tol
            Of each fit in cross-validation. The final refit may take six times the cycles, to a tenth of tol.
        on_progress : callable
            Gets the share done and a text.

        Returns
        -------
        Selection

        Raises
        ------
        InvalidInputError
            An unknown rule, or fewer samples than folds need.
        """
        check_choice("rule", rule, RULES)
        generator = random_generator(random_state)
        if isinstance(random_state, np.random.Generator):
            random_state = int(generator.integers(2**31))  # scikit-learn's folds take a seed
        n_folds = check_number(
            "n_folds", n_folds, 2, self.problem.n_samples // 2, integer=True, remedy="Each fold needs 2 samples or more"
        )
        options = self.solve_options | {"method": method, "max_cycles": max_cycles, "tol": tol}
        candidates = self._candidates()
        errors = self._cross_validate(candidates, n_folds, random_state, options, on_progress)
        mean = errors.mean(axis=1)
        spread = errors.std(axis=1, ddof=1) / np.sqrt(errors.shape[1])
        best = int(mean.argmin())
        sizes = self.supports[candidates].sum(axis=1)
        limit = mean[best] + (spread[best] if rule == "one-se" else 0.0)
        allowed = np.flatnonzero(mean <= limit)
        chosen = int(allowed[np.lexsort((mean[allowed], sizes[allowed]))[0]])
        support = self.supports[candidates[chosen]]

        on_progress(0.95, "refitting on the chosen inputs")
        base = self.results[candidates[chosen]]
        result = base
        if support.any():
            problem = _without_group_lasso(self.problem.subset(inputs=support))
            options |= {"max_cycles": 6 * max_cycles, "tol": tol / 10}
            result = solve(problem, start=_restrict(base.iterate, support), **options)
        on_progress(1.0, "chosen")
        table = pd.DataFrame(
            {
                "kappa": self.kappas[candidates],
                "n_selected": sizes,
                "error": mean,
                "standard_error": spread,
                "chosen": np.arange(len(candidates)) == chosen,
                "inputs": [
                    [n for n, kept in zip(self.problem.input_names, self.supports[c], strict=True) if kept]
                    for c in candidates
                ],
            }
        )
        return Selection(
            support,
            float(self.kappas[candidates[chosen]]),
            int(candidates[chosen]),
            result,
            table,
            rule,
            list(self.problem.input_names),
        )

    def _candidates(self) -> np.ndarray:
        """Places on the path of the first of every distinct support, the largest supports first."""
        _, first = np.unique(self.supports, axis=0, return_index=True)
        return first[np.lexsort((first, -self.supports[first].sum(axis=1)))]

    def _cross_validate(
        self,
        candidates: np.ndarray,
        n_folds: int,
        random_state: int | None,
        options: dict[str, Any],
        on_progress: Progress,
    ) -> np.ndarray:
        """Squared error of every sample under every candidate, scaled by the outputs' variances: (n_candidates, m)."""
        problem = _without_group_lasso(self.problem)
        variance = problem.Y.var(axis=1)
        weights = np.divide(1.0, variance, out=np.zeros_like(variance), where=variance > 0) / problem.n_outputs
        errors = np.zeros((len(candidates), problem.n_samples))
        folds = KFold(n_folds, shuffle=True, random_state=random_state)
        for f, (train, test) in enumerate(folds.split(problem.U.T)):
            it = problem.subset(train).initial(random_state)
            for i, place in enumerate(candidates):
                on_progress((f + i / len(candidates)) / n_folds * 0.95, f"fold {f + 1} of {n_folds}")
                support = self.supports[place]
                if support.any():
                    small = problem.subset(train, support)
                    start = _restrict(it, support)
                    result = solve(small, start=start, random_state=random_state, **options)
                    it = _extend(result.iterate, support)
                    prediction = result.model.predict(problem.U[support][:, test].T).T
                else:
                    prediction = problem.Y[:, train].mean(axis=1, keepdims=True)
                errors[i, test] = weights @ (prediction - problem.Y[:, test]) ** 2
        return errors


def _without_group_lasso(problem: TrainingProblem) -> TrainingProblem:
    return problem.replace(group_form="penalty", kappa=0.0)


def _restrict(it: Iterate, support: np.ndarray) -> Iterate:
    return it.replace(B=it.B[:, support], D=it.D[:, support])


def _extend(it: Iterate, support: np.ndarray) -> Iterate:
    B, D = np.zeros((len(it.B), len(support))), np.zeros((len(it.D), len(support)))
    B[:, support], D[:, support] = it.B, it.D
    return it.replace(B=B, D=D)


def kappa_path(
    problem: TrainingProblem,
    n_kappas: int = 20,
    random_state: int | None = 0,
    *,
    kappas: Sequence[float] | None = None,
    method: str = "prox-linear",
    solver: str = AUTO,
    max_cycles: int = 30,
    tol: float = 5e-3,
    block_tol: float = 1e-6,
    solver_options: dict[str, Any] | None = None,
    on_progress: Progress = _silent,
) -> PathResult:
    """Solve the problem for a growing kappa, each from the solution before.

    Parameters
    ----------
    problem : TrainingProblem
        Its own kappa plays no part.
    n_kappas : int
        The length of the automatic grid: geometric, from 1/100 to 3 times :func:`reference_kappa`.
        The path ends early where B = 0.
    random_state : int or None
        Seed of the first start.
    kappas : sequence of float, optional
        The grid, instead of the automatic one. Sorted here: weights upwards, radii downwards.
    method, solver, max_cycles, tol, block_tol, solver_options
        As in :func:`bcd_implicit.solve`, for each kappa. The tolerance is looser than there: a path needs
        supports, and its choice is refitted.
    on_progress : callable
        Gets the share done and a text.

    Returns
    -------
    PathResult
    """
    options: dict[str, Any] = {
        "method": method,
        "solver": solver,
        "block_tol": block_tol,
        "solver_options": solver_options,
    }
    constraint_form = problem.group_form == "constraint"
    if kappas is None:
        n_kappas = check_number("n_kappas", n_kappas, 2, integer=True, remedy="A path has 2 kappas or more")
        on_progress(0.0, "looking for the scale of kappa")
        grid = _automatic_grid(problem, n_kappas, random_state, options)
    else:
        if np.ndim(kappas) != 1:
            raise InvalidInputError("kappas", f"must be a list of numbers, got {kappas!r}", "Pass [kappa] for one")
        grid = np.array(sorted((check_number("kappas", k, 0) for k in kappas), reverse=constraint_form))
        if len(grid) == 0:
            raise InvalidInputError("kappas", "is empty", "Give at least one value")
    results: list[BcdResult] = []
    it = problem.initial(random_state)
    for i, kappa in enumerate(grid):
        at_kappa = problem.replace(kappa=float(kappa))
        result = solve(at_kappa, start=it, max_cycles=max_cycles if i else 2 * max_cycles, tol=tol, **options)
        results.append(result)
        it = result.iterate
        n_selected = int(it.B.any(axis=0).sum())
        on_progress((i + 1) / len(grid), f"kappa {kappa:.3g}: {n_selected} of {problem.n_inputs} inputs")
        if n_selected == 0:
            break
    return PathResult(problem, tuple(results), options)


def reference_kappa(
    problem: TrainingProblem, method: str = "prox-linear", random_state: int | None = 0, **options: Any
) -> float:
    """The size of kappa at which columns of B leave, to within a small factor.

    After two cycles without group lasso: the largest column norm of the gradient with respect to B, at B = 0, of
    the smooth part of the method's own (A, B, b) block, which would have B = 0 from there on if nothing else moved.
    """
    it = _two_cycles(problem, method, random_state, options)
    block = METHODS[method].matrices_block(_without_group_lasso(problem), it)
    gradient = block.gradient_of_groups(problem.with_grouped(it, np.zeros_like(problem.grouped(it))))
    groups = problem.group_lasso.groups
    weighted = groups.weights > 0
    return float((problem.group_lasso.norm.dual(gradient, groups)[weighted] / groups.weights[weighted]).max())


def _two_cycles(problem: TrainingProblem, method: str, random_state: int | None, options: dict[str, Any]) -> Iterate:
    """A quick fit without group lasso, only to see the scale of things: that it stops early is meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return solve(
            _without_group_lasso(problem),
            max_cycles=2,
            tol=0.0,
            random_state=random_state,
            **options | {"method": method},
        ).iterate


def _automatic_grid(
    problem: TrainingProblem, n_kappas: int, random_state: int | None, options: dict[str, Any]
) -> np.ndarray:
    if problem.group_form == "constraint":
        largest = problem.group_lasso.sum_of_norms(_two_cycles(problem, options["method"], random_state, options).B)
        return largest * np.geomspace(1, 1 / 100, n_kappas)
    # Targets without variation give no scale: any positive kappa empties B.
    reference = reference_kappa(problem, random_state=random_state, **options) or 1.0
    return reference * np.geomspace(1 / 100, 3, n_kappas)
